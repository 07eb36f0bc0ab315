"""Who decides about consistency: rules, a judge, or both; by the name that settings and commands use."""

from __future__ import annotations

from pathlib import Path

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.consistency_file import Checker, RulesForFiles
from radflow.clinical.consistency_judge import JudgeConsistency
from radflow.clinical.judge import Judge
from radflow.config import JudgeConfig
from radflow.errors import ConfigError
from radflow.registry import nearest

BACKENDS = ("labels", "judge", "both")


def consistency_backend(
    name: str, *, ontology: str, judge: JudgeConfig, cache: Path
) -> tuple[Checker, Judge | None]:
    """The checker of this name, and the judge that it asks; ``None`` where it asks none.

    Raises:
        ConfigError: unknown name or ontology.
    """
    if name not in BACKENDS:
        raise ConfigError(
            f"unknown backend {name!r}", next_step=f"{nearest(name, BACKENDS)}Known: {', '.join(BACKENDS)}."
        )
    if name == "judge":
        client = Judge(judge, cache=cache)
        return JudgeConsistency(client), client
    rules = LabelConsistency(ontology)
    if name == "labels":
        return RulesForFiles(rules), None
    client = Judge(judge, cache=cache)
    return JudgeConsistency(client, rules=rules), client
