"""Peak memory and time of `radflow prepare` on generated trees in MIMIC-CXR's layout, of several sizes

    python benchmarks/prepare_memory.py --studies 2000 20000

Every study has a report of about 900 characters and one and the same JPEG of 64 pixels (hard links); two
are of one patient. Each size runs in a process of its own on one worker; memory is that process's peak.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

SENTENCES = (
    "The lungs are clear without consolidation.",
    "There is no pleural effusion or pneumothorax.",
    "Heart size is normal and mediastinal contours are unremarkable.",
    "A small nodular opacity projects over the right upper lobe and is unchanged.",
    "Degenerative changes are seen along the thoracic spine.",
)
METADATA = [
    "dicom_id",
    "subject_id",
    "study_id",
    "ViewPosition",
    "StudyDate",
    "StudyTime",
    "ViewCodeSequence_CodeMeaning",
]


def write_tree(root: Path, studies: int) -> None:
    """A tree of so many studies over the ten patient groups, all of whose images are one file."""
    image = root / "image.jpg"
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(image)
    rows = []
    for number in range(studies):
        patient = number // 2
        subject = 10_000_000 + (patient % 10) * 1_000_000 + patient
        study, dicom = 50_000_000 + number, f"{number:08x}-{'0' * 8}-{'0' * 8}-{'0' * 8}-{'0' * 8}"
        folder = root / f"files/p{str(subject)[:2]}/p{subject}"
        (folder / f"s{study}").mkdir(parents=True)
        os.link(image, folder / f"s{study}/{dicom}.jpg")
        (folder / f"s{study}.txt").write_text(report(number))
        split = ("test", "validate")[patient % 20] if patient % 20 < 2 else "train"
        rows.append((dicom, subject, study, split, 21_000_101 + number % 2))
    write_table(root, "metadata", METADATA, ((d, p, s, "PA", day, "0", "") for d, p, s, _, day in rows))
    write_table(
        root,
        "split",
        ["dicom_id", "study_id", "subject_id", "split"],
        ((d, s, p, x) for d, p, s, x, _ in rows),
    )


def report(number: int) -> str:
    findings = " ".join(SENTENCES[(number + place) % len(SENTENCES)] for place in range(12))
    impression = f"No acute process in study {number}. {SENTENCES[number % len(SENTENCES)]}"
    return f"FINAL REPORT\n INDICATION:  Cough.\n \n FINDINGS:  {findings}\n \n IMPRESSION:  {impression}\n"


def write_table(root: Path, kind: str, columns: list[str], rows: object) -> None:
    with gzip.open(root / f"mimic-cxr-2.0.0-{kind}.csv.gz", "wt", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])  # type: ignore[misc]


def measure(studies: int) -> None:
    with tempfile.TemporaryDirectory(prefix="radflow-") as folder:
        root, run = Path(folder, "mimic"), Path(folder, "run")
        root.mkdir()
        write_tree(root, studies)
        config = Path(folder, "config.yaml")
        config.write_text(
            f"data: {{source: mimic_cxr, root: {root}, image_long_side: 64}}\nengine: {{workers: 1}}\n"
        )
        command = [sys.executable, "-m", "radflow", "prepare", str(config), "-o", str(run)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        manifest = json.loads((run / "manifests/prepare.json").read_text())
        used = manifest["process_peak_memory_mib"]
        size = (run / "studies.jsonl").stat().st_size / 2**20
        sys.stdout.write(
            f"{studies:>8} studies  peak {used:7.1f} MiB  studies.jsonl {size:6.1f} MiB  "
            f"{manifest['wall_time_s']:7.1f} s\n"
        )
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, nargs="+", default=[2000, 20000])
    for studies in parser.parse_args().studies:
        measure(studies)


if __name__ == "__main__":
    main()
