"""What counts as critical: cases written before the rules, facts of the method, phantoms whose truth is known."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from radflow.clinical.criticality import RuleCriticality, probability

FILE = Path(__file__).with_name("criticality_cases.yaml")
EASY = {"plain", "normal"}


class Case(NamedTuple):
    ontology: str
    kind: str
    is_critical: bool
    text: str


def read_cases() -> list[Case]:
    tree = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [
        Case(ontology, kind, is_critical, text)
        for ontology, kinds in tree.items()
        for kind, entries in kinds.items()
        for is_critical, text in entries
    ]


def halves() -> tuple[list[Case], list[Case]]:
    """The half that rules were tuned on, and the held-out one; drawn within each kind."""
    draw = random.Random(0)
    tuned, held_out = [], []
    cases = read_cases()
    for kind in dict.fromkeys(case.kind for case in cases):
        chosen = [case for case in cases if case.kind == kind]
        draw.shuffle(chosen)
        middle = len(chosen) // 2
        tuned += chosen[:middle]
        held_out += chosen[middle:]
    return tuned, held_out


def wrong(cases: list[Case]) -> list[Case]:
    judges = {name: RuleCriticality(name) for name in {case.ontology for case in cases}}
    return [
        case for case in cases if judges[case.ontology].decide("a", case.text).is_critical != case.is_critical
    ]
