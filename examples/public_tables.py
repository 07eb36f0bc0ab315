"""CheXpert Plus, ReXGradient-160K, PadChest-GR and CASIA-CXR as tables for `data.source: table`

    python examples/public_tables.py chexpert-plus df_chexpert_plus_240401.csv > chexpert_plus.jsonl
    python examples/public_tables.py rexgradient metadata/*_metadata_view_position.json > rexgradient.jsonl
    python examples/public_tables.py padchest-gr grounded_reports_20240819.json master_table.csv > gr.jsonl
    python examples/public_tables.py casia-cxr CASIA-CXR_*/CASIA-CXR_*_Reports.csv > casia_cxr.jsonl

One row a study. Column names are those that public code reads these files by; nothing of it was run on the
data itself (docs/datasets.md). Image paths come out as the files have them, below `data.images`.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

Row = dict[str, object]

FRONTAL = {"AP", "PA", "POSTERO_ANTERIOR", "ANTERO_POSTERIOR"}


def csv_rows(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8-sig", newline="") as handle:
        yield from csv.DictReader(handle)


def chexpert_plus(paths: Sequence[Path]) -> Iterator[Row]:
    """One row an image -> one a study (train/patient00001/study1), frontal images first.

    The PNG files have the names of `path_to_image` with .png; its split valid is too small for a test.
    """
    studies: dict[str, Row] = {}
    for row in (row for path in paths for row in csv_rows(path)):
        image = PurePosixPath(row["path_to_image"])
        study = studies.setdefault(
            str(image.parent),
            {
                "id": str(image.parent),
                "patient": row["deid_patient_id"],
                "split": row["split"],
                "findings": row["section_findings"],
                "impression": row["section_impression"],
                "indication": row.get("section_clinical_history") or row.get("section_history"),
                "comparison": row.get("section_comparison"),
                "images": [],
            },
        )
        images = study["images"]
        assert isinstance(images, list)
        is_frontal = row["frontal_lateral"].lower().startswith("front")
        images.insert(0 if is_frontal else len(images), str(image.with_suffix(".png")))
    yield from studies.values()


def rexgradient(paths: Sequence[Path]) -> Iterator[Row]:
    """One entry a study; the split is the word that the file's name begins with."""
    for path in paths:
        split = path.name.partition("_")[0]
        for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
            files = [file.removeprefix("../") for file in entry["ImagePath"]]
            views = [str(view).upper() for view in entry.get("ImageViewPosition") or []]
            frontal = [file for file, view in zip(files, views, strict=False) if view in FRONTAL]
            yield {
                "id": name,
                "patient": entry["PatientID"],
                "split": split,
                "findings": entry["Findings"],
                "impression": entry["Impression"],
                "indication": entry["Indication"],
                "comparison": entry["Comparison"],
                "images": [*frontal, *(file for file in files if file not in frontal)],
            }


def padchest_gr(paths: Sequence[Path]) -> Iterator[Row]:
    """The sentences of a study, joined, are its Findings; patients and splits stand in the master table."""
    grounded, master = paths
    known = {row["StudyID"]: row for row in csv_rows(master)}
    for entry in json.loads(grounded.read_text(encoding="utf-8")):
        row = known[entry["StudyID"]]
        sentences = {
            language: " ".join(item[f"sentence_{language}"] for item in entry["findings"])
            for language in ("en", "es")
        }
        yield {
            "id": entry["StudyID"],
            "patient": row["PatientID"],
            "split": row["split"],
            "findings": sentences["en"],
            "findings_es": sentences["es"],
            "images": [entry["ImageID"]],
        }


def casia_cxr(paths: Sequence[Path]) -> Iterator[Row]:
    """The rows that have an ExamID; the files end in columns and rows that are mere marks.

    How ImageDir and ImageID make a path wasn't found: they are joined here, check the first ones.
    """
    seen: set[str] = set()
    for row in (row for path in paths for row in csv_rows(path)):
        if not row["ExamID"] or row["ExamID"] in seen:
            continue
        seen.add(row["ExamID"])
        yield {
            "id": row["ExamID"],
            "patient": row["PatientID"],
            "findings": row["Findings"],
            "impression": row["Impression"],
            "indication": row["Indication"],
            "comparison": row["Comparison"],
            "images": [str(PurePosixPath(row["ImageDir"], row["ImageID"]))],
        }


KINDS: dict[str, Callable[[Sequence[Path]], Iterator[Row]]] = {
    "chexpert-plus": chexpert_plus,
    "rexgradient": rexgradient,
    "padchest-gr": padchest_gr,
    "casia-cxr": casia_cxr,
}


def main(arguments: Sequence[str]) -> None:
    if len(arguments) < 2 or arguments[0] not in KINDS:
        raise SystemExit(__doc__)
    for row in KINDS[arguments[0]]([Path(name) for name in arguments[1:]]):
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
