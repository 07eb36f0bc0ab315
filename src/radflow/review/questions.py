"""A run -> the questions for its reviewers: which studies, whose reports, in which order, on which side"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.clinical.ontology_file import load_ontology
from radflow.data.sections import parse_report
from radflow.errors import DataError, RunError
from radflow.jsonl import read_jsonl
from radflow.records import Report, Study
from radflow.registry import nearest
from radflow.reporting.names import SAMPLED, TRAINED_FIRST, TRAINED_LATER
from radflow.reporting.run_files import read_rows
from radflow.review.answers import TASKS, Answer, Key, Task, digest
from radflow.run_dir import RunDir


@dataclass(frozen=True)
class Question:
    """One thing to be judged.

    Attributes:
        systems: whose reports are shown beside the reference: none, one, or two to be compared.
    """

    task: Task
    study_id: str
    systems: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.task, self.study_id, tuple(sorted(self.systems))


@dataclass(frozen=True)
class Material:
    """What a run has for reviewers.

    Attributes:
        studies: those with a reference, by id, in the run's order.
        texts: study id -> system -> what it wrote; empty where nothing was evaluated.
        systems: those under review: two to compare, one, or none.
        seed: of the run; it decides the draw of studies and every order.
        settings: of the run's last stage; empty where none is finished.
    """

    root: Path
    studies: Mapping[str, Study]
    texts: Mapping[str, Mapping[str, str]]
    systems: tuple[str, ...]
    seed: int
    settings: Mapping[str, Any]

    def read(self, text: str) -> Report:
        """The sections of a written report, by the headers of the run's ontology too."""
        return parse_report(text, headers=load_ontology(self.ontology).headers)

    @property
    def ontology(self) -> str:
        return str(self.settings.get("evaluate", {}).get("ontology", "chest-xray"))

    def shown(self, question: Question) -> dict[str, str]:
        """Reference and texts of a question, by who wrote them."""
        written = self.texts.get(question.study_id, {})
        reference = (
            {} if question.task == "consistency" else {"": self.studies[question.study_id].report.text}
        )
        return reference | {system: written[system] for system in question.systems}

    def digest(self, question: Question) -> str:
        return digest(*self.shown(question).values())

    def still_holds(self, answer: Answer) -> bool:
        """Whether an answer is about texts that the run still has, word for word."""
        written = self.texts.get(answer.study_id, {})
        is_known = answer.study_id in self.studies and all(name in written for name in answer.systems)
        question = Question(answer.task, answer.study_id, answer.systems)
        return is_known and self.digest(question) == answer.texts


def read_material(root: Path, *, systems: Sequence[str] = ()) -> Material:
    """What is to be reviewed of a run; the folder is only read.

    Args:
        systems: whose reports; by default the model after reinforcement and the supervised one.

    Raises:
        RunError: no run with prepared studies, or a system that wrote nothing in it.
    """
    if not (root / "studies.jsonl").is_file():
        raise RunError(
            "no studies.jsonl in this folder",
            where=str(root),
            next_step="Give a run folder whose stage prepare is done: radflow run CONFIG -o FOLDER",
        )
    rows = read_jsonl(Study, root / "studies.jsonl")
    studies = {study.study_id: study for study in rows if study.report.text.strip()}
    texts: dict[str, dict[str, str]] = {}
    if (root / "predictions.jsonl").is_file():
        for row in read_rows(root / "predictions.jsonl"):
            texts.setdefault(row["study_id"], {})[row.get("system", "model")] = row["text"]
    run = RunDir(root)
    manifests = (run.manifest(stage) for stage in ("evaluate", "annotate", "prepare"))
    settings: dict[str, Any] = next(
        (manifest["config"] for manifest in manifests if manifest and "config" in manifest), {}
    )
    chosen = _systems(texts, systems, root)
    return Material(root, studies, texts, chosen, int(settings.get("seed", 0)), settings)


def _systems(texts: Mapping[str, Mapping[str, str]], wanted: Sequence[str], root: Path) -> tuple[str, ...]:
    known = list(dict.fromkeys(system for written in texts.values() for system in written))
    if wanted:
        for name in wanted:
            if name not in known:
                raise RunError(
                    f"no system {name!r} wrote reports in this run",
                    where=str(root),
                    next_step=f"{nearest(name, known)}It has: {', '.join(map(repr, known)) or 'none'}.",
                )
        return tuple(dict.fromkeys(wanted))[:2]
    greedy = [name for name in known if not name.endswith(SAMPLED)]
    usual = [name for name in (*TRAINED_LATER[:1], *TRAINED_FIRST) if name in greedy]
    return tuple((usual or greedy)[:2])


def read_ids(path: Path) -> list[str]:
    """Study ids of a text file, one a line; empty lines and those with a # in front are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError("the file of study ids can't be read", where=str(path)) from None
    ids = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return list(dict.fromkeys(ids))


def drawn_studies(material: Material, count: int, only: Sequence[str] | None = None) -> list[str]:
    """Ids of the studies to review, the same for every reviewer.

    A draw of those that were evaluated, else of those that were annotated, else of all; asking for more
    later keeps those of an earlier draw.

    Raises:
        DataError: a study that was asked for isn't in the run.
    """
    if only is not None:
        if unknown := [study for study in only if study not in material.studies]:
            raise DataError(
                f"{len(unknown)} of the studies asked for are not in the run, the first is {unknown[0]}",
                where="--ids",
                next_step="Give ids as they stand in studies.jsonl.",
            )
        return list(only)
    chosen = material.root / "criticality.jsonl"
    pool: Iterable[str] = material.studies
    if material.texts:
        pool = (study for study in material.texts if study in material.studies)
    elif chosen.is_file():
        pool = (row["study_id"] for row in read_rows(chosen) if row["study_id"] in material.studies)
    return sorted(pool, key=lambda study: _place(material.seed, "draw", study))[:count]


def questions_of(material: Material, studies: Sequence[str]) -> dict[Task, list[Question]]:
    """All questions about these studies.

    A report without Findings or Impression has no consistency to judge; of two equal reports none is better.
    """
    found: dict[Task, list[Question]] = {task: [] for task in TASKS}
    for study in studies:
        found["criticality"].append(Question("criticality", study))
        written = {
            name: text for name in material.systems if (text := material.texts.get(study, {}).get(name))
        }
        for system, text in written.items():
            found["errors"].append(Question("errors", study, (system,)))
            report = material.read(text)
            if report.findings and report.impression:
                found["consistency"].append(Question("consistency", study, (system,)))
        if len(set(written.values())) == 2:
            found["comparison"].append(Question("comparison", study, tuple(written)))
    return found


def in_reviewers_order(questions: Sequence[Question], material: Material, reviewer: str) -> list[Question]:
    """The reviewer's own random order, each comparison with its sides drawn; the same at every start."""
    shuffled = sorted(questions, key=lambda one: _place(material.seed, reviewer, *map(str, one.key)))
    return [
        Question(one.task, one.study_id, one.systems[::-1])
        if int(_place(material.seed, "side", reviewer, one.study_id)[:8], 16) % 2
        else one
        for one in shuffled
    ]


def _place(*parts: object) -> str:
    """A random-looking place of its own for each thing: adding others moves none."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
