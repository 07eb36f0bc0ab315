"""Which studies train, validate and test: the source's own split, R2Gen's, a file of ids, or a seeded draw.

Whatever the method, a patient whose id is known is in one split only. A study without patient id counts as a
patient of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from radflow.config import SplitConfig
from radflow.data.tables import read_rows, require_columns
from radflow.errors import DataError
from radflow.records import LeftOut, Split


class Splittable(Protocol):
    """What a split is drawn by: no images, no text. A `SourceStudy` is one, and so is its `StudyKey`."""

    @property
    def study_id(self) -> str: ...
    @property
    def patient_id(self) -> str | None: ...
    @property
    def split(self) -> Split | None: ...


class StudyKey(NamedTuple):
    """A study of the source without images and text, so that all of a large source fit into memory."""

    study_id: str
    patient_id: str | None
    split: Split | None


S = TypeVar("S", bound=Splittable)

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
R2GEN_ID = re.compile(r"(CXR(\d+))(?:_\2)?_IM-[\d-]+")
SHOWN = 5
SPLIT_FILE = "Check that the ids of the split file and of the source agree, or use more studies."
NO_TRAINING = {
    "seeded": "Use more studies, or lower data.split.validation and data.split.test.",
    "source": "Check what the source calls its splits (train, validation, test), or set data.split.method: "
    "seeded.",
}
"""Method -> what to do where nothing is left to train on; the others read a file."""


class Division(NamedTuple, Generic[S]):
    """What `assign_splits` found.

    Attributes:
        assigned: each study with its split, in the order given.
        left_out: the studies that the split doesn't know.
        notes: sentences that the user should see.
    """

    assigned: list[tuple[S, Split]]
    left_out: list[LeftOut]
    notes: list[str]


def parse_split(name: object) -> Split | None:
    """The split that a usual name stands for, ``None`` for any other name."""
    return SPLIT_NAMES.get(str(name).strip().lower())


def assign_splits(studies: Sequence[S], config: SplitConfig, *, seed: int) -> Division[S]:
    """Each study with its split.

    Ids of the split file that no study has are only noted: most of them are studies that the source has left
    out and listed already.

    Raises:
        DataError: a patient in two splits, no training study, a split file that can't be used.
    """
    method = config.method
    if method == "auto":
        method = "source" if any(study.split for study in studies) else "seeded"
    where = f"split.method {method}"
    notes = [] if method == "source" else _note_unknown_patients(studies)
    if method == "seeded":
        drawn = draw_patients({_person(study) for study in studies}, config, seed=seed)
        assigned: list[tuple[S, Split]] = [(study, drawn[_person(study)]) for study in studies]
        left_out: list[LeftOut] = []
    elif method == "source":
        assigned = [(study, study.split) for study in studies if study.split]
        left_out = [_left_out(study, "no_split_in_source", where) for study in studies if not study.split]
    else:
        if config.file is None:
            raise DataError("no split file", where=where, next_step="Set data.split.file.")
        where = str(config.file)
        known = _read_r2gen(config.file) if method == "r2gen" else _read_ids(config.file)
        notes += _note_unknown_ids(known, studies, where)
        assigned = [(study, known[study.study_id]) for study in studies if study.study_id in known]
        left_out = [
            _left_out(study, "not_in_split_file", where) for study in studies if study.study_id not in known
        ]
    _refuse_leaks(assigned, where)
    if not any(split == "train" for _, split in assigned):
        raise DataError(
            f"no training study among {len(studies)} studies",
            where=where,
            next_step=NO_TRAINING.get(method, SPLIT_FILE),
        )
    return Division(assigned, left_out, notes)


def draw_patients(patients: set[str], config: SplitConfig, *, seed: int) -> dict[str, Split]:
    """Patients ranked by a hash of seed and id: the first are the test, the next validate, the rest train.

    Neither the order of the studies nor the platform plays a part. A split with a share above 0 gets at
    least one patient.
    """
    ranked = sorted(patients, key=lambda person: hashlib.sha256(f"{seed}/{person}".encode()).digest())
    tests = max(round(config.test * len(ranked)), 1 if config.test else 0)
    validations = max(round(config.validation * len(ranked)), 1 if config.validation else 0)
    ends: tuple[tuple[Split, int], ...] = (("test", tests), ("validation", tests + validations))
    return {
        person: next((split for split, end in ends if place < end), "train")
        for place, person in enumerate(ranked)
    }


def _person(study: Splittable) -> str:
    """Who is drawn: the patient, or the study where the patient is unknown; never mistaken for each other."""
    return f"study {study.study_id}" if study.patient_id is None else f"patient {study.patient_id}"


def _left_out(study: Splittable, reason: str, where: str) -> LeftOut:
    return LeftOut(study_id=study.study_id, reason=reason, detail=where)


def _refuse_leaks(assigned: Sequence[tuple[Splittable, Split]], where: str) -> None:
    splits: dict[str, set[Split]] = defaultdict(set)
    for study, split in assigned:
        if study.patient_id is not None:
            splits[study.patient_id].add(split)
    leaking = sorted(patient for patient, found in splits.items() if len(found) > 1)
    if leaking:
        shown = ", ".join(leaking[:SHOWN]) + (", ..." if len(leaking) > SHOWN else "")
        raise DataError(
            f"patients in more than one split: {len(leaking)} ({shown})",
            where=where,
            next_step="Put all studies of a patient into one split, or set data.split.method: seeded, which "
            "draws patients.",
        )


def _read_r2gen(path: Path) -> dict[str, Split]:
    """Split by study id from an annotation.json, e.g. CXR2384 from the entry CXR2384_IM-0942."""
    known: dict[str, Split] = {}
    for key, entry in _r2gen_entries(path):
        # The published IU X-ray file calls the test split by four spaces; the entries say "test".
        split = parse_split(entry.get("split") or key.strip() or "test")
        name = entry.get("id")
        if split is None or not isinstance(name, str) or not name:
            raise _no_annotation(path, f"an entry below {key!r} has no usable id or split")
        match = R2GEN_ID.fullmatch(name)
        _add(known, match[1] if match else name, split, where=str(path))
    return known


def _r2gen_entries(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    try:
        annotation = json.loads(path.read_bytes())
    except OSError as error:
        raise _no_annotation(path, f"the split file can't be read ({type(error).__name__})") from None
    except (ValueError, RecursionError):  # bad JSON or bad UTF-8; its message may quote the file
        raise _no_annotation(path, "the split file isn't JSON") from None
    if not isinstance(annotation, dict):
        raise _no_annotation(path, "the split file holds no splits")
    for key, entries in annotation.items():
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise _no_annotation(path, f"{key!r} is no list of studies")
        for entry in entries:
            yield key, entry


def _no_annotation(path: Path, what: str) -> DataError:
    return DataError(
        what,
        where=str(path),
        next_step="data.split.file must be R2Gen's annotation.json: a list of entries with id and split for "
        "each of train, val and test.",
    )


def _read_ids(path: Path) -> dict[str, Split]:
    known: dict[str, Split] = {}
    for number, row in read_rows(path):
        where = f"{path}, row {number}"
        require_columns(row, {"id": "split.method ids", "split": "split.method ids"}, where=where)
        missing = [name for name in ("id", "split") if row.get(name) in (None, "")]
        if missing:
            raise DataError(
                f"no {missing[0]} in a row of the split file",
                where=where,
                next_step="The file needs the columns id and split.",
            )
        split = parse_split(row["split"])
        if split is None:
            raise DataError("unknown split", where=where, next_step="Use train, validation or test.")
        _add(known, str(row["id"]).strip(), split, where=where)
    return known


def _add(known: dict[str, Split], study_id: str, split: Split, *, where: str) -> None:
    if known.setdefault(study_id, split) != split:
        raise DataError(f"study {study_id} is in two splits", where=where, next_step="Keep one of its lines.")


def _note_unknown_ids(known: Mapping[str, Split], studies: Sequence[Splittable], where: str) -> list[str]:
    unknown = sorted(set(known) - {study.study_id for study in studies})
    if not unknown:
        return []
    shown = ", ".join(unknown[:SHOWN]) + (", ..." if len(unknown) > SHOWN else "")
    return [f"{len(unknown)} of {len(known)} ids in {where} have no study: {shown}"]


def _note_unknown_patients(studies: Sequence[Splittable]) -> list[str]:
    unknown = sum(study.patient_id is None for study in studies)
    if not unknown:
        return []
    return [
        f"{unknown} studies have no patient id: studies of one patient may stand in different splits. "
        "If the table knows the patients, set data.table.patient_column."
    ]
