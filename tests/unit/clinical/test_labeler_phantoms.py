"""Impressions of generated phantoms, whose writer recorded what they assert: an independent vocabulary."""

from __future__ import annotations

from radflow.clinical.labeler import RuleLabeler
from radflow.data.phantoms.chest import make_chest_report

NAMES = {
    "pleural_effusion": "Pleural Effusion",
    "pneumothorax": "Pneumothorax",
    "cardiomegaly": "Cardiomegaly",
    "nodule": "Nodule",
    "atelectasis": "Atelectasis",
    "rib_fracture": "Fracture",
    "edema": "Edema",
}
"""Without consolidation: the phantom's writer also calls it airspace disease, which is Lung Opacity here."""
LATERAL = {"Pleural Effusion", "Pneumothorax", "Nodule", "Atelectasis", "Fracture"}


def test_impressions_are_read_as_their_writer_recorded_them() -> None:
    labeler = RuleLabeler("chest-xray")
    wrong, said = [], 0
    for index in range(300):
        report = make_chest_report(index, seed=11)
        mentions = [m for m in labeler.label(report.impression) if m.observation in NAMES.values()]
        for assertion, recorded in (("present", report.present), ("uncertain", report.uncertain)):
            expected = {
                (name, mention.side if name in LATERAL else None)
                for mention in recorded
                if (name := NAMES.get(mention.observation)) is not None
            }
            read = {
                (mention.observation, mention.side if mention.observation in LATERAL else None)
                for mention in mentions
                if mention.assertion == assertion
            }
            said += len(expected)
            if read != expected:
                wrong.append((index, assertion, expected ^ read))
    assert said > 200
    assert wrong == []
