"""What judges said of the cases that people reviewed: the run's own verdicts, and the rules' anew"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.jsonl import read_jsonl
from radflow.records import Criticality
from radflow.reporting.run_files import read_rows
from radflow.review.questions import Material
from radflow.stages.annotate import FLIPPED

Verdicts = dict[str, dict[Any, bool]]
"""Judge -> case -> whether it flags it: calls it critical, or inconsistent."""


def triage_verdicts(material: Material, studies: Iterable[str]) -> Verdicts:
    """On reference reports: by rules, at the run's levels, and by every language model that the run asked.

    Verdicts that the run turned round for its noise experiment are left out.
    """
    wanted = list(studies)
    settings: Mapping[str, Any] = material.settings.get("annotate", {})
    rules = RuleCriticality(
        settings.get("ontology", "chest-xray"), levels=settings.get("levels", ["critical"])
    )
    found: Verdicts = {
        "rules": {study: rules.decide(study, material.studies[study].report).is_critical for study in wanted}
    }
    for study, judge, is_critical in _of_models(material):
        if study in found["rules"]:
            found.setdefault(judge, {})[study] = is_critical
    return found


def _of_models(material: Material) -> Iterable[tuple[str, str, bool]]:
    for name in ("criticality.jsonl", "criticality_second.jsonl"):
        if (path := material.root / name).is_file():
            for row in read_jsonl(Criticality, path):
                if row.source != "rules" and not row.reason.startswith(FLIPPED):
                    yield row.study_id, row.source, row.is_critical
    if material.settings.get("annotate", {}).get("judge") != "judge":
        return
    judge = str(material.settings.get("judge", {}).get("model") or "judge")
    if (path := material.root / "scores.jsonl").is_file():
        for score in read_rows(path):
            if score.get("is_critical") is not None:
                yield score["study_id"], judge, bool(score["is_critical"])


def consistency_verdicts(material: Material, cases: Iterable[tuple[str, str]]) -> Verdicts:
    """On reports that systems wrote, by the rules that score and reward them; (study, system) -> verdict."""
    rules = LabelConsistency(material.ontology)
    found = {case: rules.check(material.read(material.texts[case[0]][case[1]])).verdict for case in cases}
    return {
        "rules": {
            case: verdict == "inconsistent" for case, verdict in found.items() if verdict != "not_applicable"
        }
    }
