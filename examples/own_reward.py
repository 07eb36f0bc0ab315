"""A reward term of your own beside the four: reports that speak of a device are paid for it"""

from radflow.records import Report
from radflow.rewards.hierarchical import HierarchicalReward, OwnTerm


def names_devices(*, reference: Report, prediction: Report) -> float:
    """1 when the report mentions a tube, as its reference does, else 0."""
    return float("tube" in prediction.text.lower())


tubes = OwnTerm(names_devices, weight=0.5, applies=lambda reference: "tube" in reference.text.lower())
reward = HierarchicalReward(own_terms={"devices": tubes})
gold = "FINDINGS: Endotracheal tube in place. IMPRESSION: Tube in place."
print(reward([None], [gold], reference=[gold]), reward.records[0].terms["devices"])
