"""Records Cohen's kappa and Gwet's AC1 of drawn answers as irrCAC gives them: tests/golden/agreement.json.

pip install irrCAC; python tests/golden/record_agreement.py
"""

from __future__ import annotations

import json
import random
from importlib.metadata import version
from pathlib import Path

import pandas
from irrCAC.raw import CAC

SETTINGS = [(50, "yn", 0.9), (12, "yn", 0.7), (200, "abcd", 0.6), (40, "yn", 0.5), (30, "abc", 0.95)]


def draw(seed: int, size: int, answers: str, agreeing: float) -> list[list[str]]:
    """Answers of two people to cases of which the first kind is the commonest."""
    generator = random.Random(seed)
    weights = [3] + [1] * (len(answers) - 1)
    pairs = []
    for _ in range(size):
        first = generator.choices(answers, weights)[0]
        second = first if generator.random() < agreeing else generator.choices(answers, weights)[0]
        pairs.append([first, second])
    return pairs


def main() -> None:
    cases = []
    for seed, (size, answers, agreeing) in enumerate(SETTINGS):
        pairs = draw(seed, size, answers, agreeing)
        found = CAC(pandas.DataFrame(pairs), categories=list(answers), digits=8)
        values = {}
        # For two people Conger's kappa is Cohen's.
        for name, result in (("kappa", found.conger()), ("ac1", found.gwet())):
            estimate = result["est"]
            low, high = estimate["confidence_interval"]
            values[name] = [float(estimate["coefficient_value"]), float(low), float(high)]
        cases.append({"pairs": ["".join(pair) for pair in pairs], "categories": answers, **values})
    golden = {"package": f"irrCAC {version('irrCAC')}", "cases": cases}
    Path(__file__).with_name("agreement.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
