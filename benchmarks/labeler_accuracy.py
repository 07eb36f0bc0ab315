"""F1 of the rule labeler against human labels and MeSH codings of Indiana reports, and on CheXpert's samples.

`python benchmarks/labeler_accuracy.py [--parts tuned,held-out]`. Rules were tuned on the tuned half only.
Human labels: 14 findings of the NegBio Open-i set; a finding counts as ours where the table says 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from radflow.clinical.label_table import labels_of
from radflow.clinical.labeler import RuleLabeler

DATA = Path(os.environ.get("RADFLOW_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SEED = 0
GOLD = {
    "Atelectasis": {"Atelectasis"},
    "Cardiomegaly": {"Cardiomegaly"},
    "Pleural Effusion": {"Effusion"},
    "Lung Lesion": {"Mass", "Nodule"},
    "Pneumonia": {"Pneumonia"},
    "Pneumothorax": {"Pneumothorax"},
    "Consolidation": {"Consolidation"},
    "Edema": {"Edema"},
}
"""Our column -> the human labels that it stands for."""
EXTRA = {
    "Infiltration": {"Infiltration"},
    "Emphysema": {"Emphysema"},
    "Fibrosis": {"Fibrosis"},
    "Pleural Thickening": {"Pleural_Thickening"},
    "Hernia": {"Hernia"},
}
"""Our observations -> human labels beyond CheXpert's columns."""
MESH = {
    "Atelectasis": {"pulmonary atelectasis"},
    "Cardiomegaly": {"cardiomegaly"},
    "Pleural Effusion": {"pleural effusion"},
    "Lung Lesion": {"nodule", "mass", "lung neoplasms"},
    "Pneumonia": {"pneumonia"},
    "Pneumothorax": {"pneumothorax", "hydropneumothorax"},
    "Consolidation": {"consolidation"},
    "Edema": {"pulmonary edema"},
}


class Counts(NamedTuple):
    """How often the labeler and the truth agree on presence."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def f1(self) -> float | None:
        """F1 in [0, 1]; ``None`` where neither side has a positive."""
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / total if total else None


def indiana(data: Path) -> dict[str, dict[str, str]]:
    """Rows of the Indiana reports by XML id ("CXR1")."""
    with (data / "iu_xray" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        return {f"CXR{row['uid']}": row for row in csv.DictReader(file)}


def gold(data: Path) -> dict[str, set[str]]:
    """Human labels by XML id: the names of the findings that are there."""
    with (data / "text" / "negbio_openi" / "openi_gold_part.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["filename"]: {name for name, value in row.items() if value == "1"}
            for row in csv.DictReader(file)
        }


def halves(ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """(tuned, held out): a seeded half of the studies each."""
    drawn = sorted(ids)
    random.Random(SEED).shuffle(drawn)
    return sorted(drawn[: len(drawn) // 2]), sorted(drawn[len(drawn) // 2 :])


def said_present(row: dict[str, str], labeler: RuleLabeler) -> set[str]:
    """Columns that are 1, and observations that are present, in findings and impression."""
    mentions = labeler.label(f"{row['findings']} {row['impression']}")
    labels = labels_of(mentions, labeler.ontology)
    columns = {name for name, value in labels.items() if value == 1}
    names = {mention.observation for mention in mentions if mention.assertion == "present"}
    return columns | (names - set(labeler.ontology.columns))


def mesh_terms(row: dict[str, str]) -> set[str]:
    """Heads of the MeSH codings ("Nodule/lung/right" -> "nodule")."""
    return {term.split("/")[0].strip().lower() for term in row["MeSH"].split(";")}


def compare(
    said: dict[str, set[str]], truth: dict[str, set[str]], mapping: dict[str, set[str]], ids: Iterable[str]
) -> dict[str, Counts]:
    """Counts per class over the studies."""
    counted: Counter[tuple[str, bool, bool]] = Counter()
    for study in ids:
        for name, targets in mapping.items():
            counted[name, name in said[study], not targets.isdisjoint(truth[study])] += 1
    return {
        name: Counts(counted[name, True, True], counted[name, True, False], counted[name, False, True])
        for name in mapping
    }


def micro(counts: dict[str, Counts]) -> Counts:
    """All classes together."""
    return Counts(*(sum(column) for column in zip(*counts.values(), strict=True)))


def show(title: str, counts: dict[str, Counts], studies: int) -> None:
    """Print one table."""
    print(f"\n{title} ({studies:,} studies)")
    for name, count in {**counts, "micro": micro(counts)}.items():
        f1 = "   -" if count.f1 is None else f"{count.f1:.3f}"
        print(f"  {name:20} {f1}  tp {count[0]:4} fp {count[1]:4} fn {count[2]:4}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="tuned,held-out")
    wanted = parser.parse_args().parts.split(",")
    labeler = RuleLabeler()
    rows, labels = indiana(DATA), gold(DATA)
    said = {study: said_present(row, labeler) for study, row in rows.items()}
    for part, ids in zip(("tuned", "held-out"), halves(labels), strict=True):
        if part in wanted:
            show(f"human labels, {part} half", compare(said, labels, GOLD, ids), len(ids))
            show(
                f"human labels beyond the 14 columns, {part} half",
                compare(said, labels, EXTRA, ids),
                len(ids),
            )
    terms = {study: mesh_terms(row) for study, row in rows.items()}
    show("MeSH codings, all reports", compare(said, terms, MESH, rows), len(rows))


if __name__ == "__main__":
    main()
