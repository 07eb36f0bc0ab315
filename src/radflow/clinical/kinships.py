"""Which observations speak of one thing, and which may be concluded from which."""

from __future__ import annotations

from radflow.clinical.ontology import Ontology

Names = dict[str, set[str]]


def kinships(ontology: Ontology) -> tuple[Names, Names]:
    """By observation: those that name the same, and those of the Findings that support it.

    Beside what ``agreement`` says, all devices name the same, and observations of one column of the label
    table, or whose presence implies or suggests that column, support each other.
    """
    observations, rules = ontology.observations, ontology.agreement
    same: Names = {name: {name} for name in observations}
    devices = tuple(name for name, item in observations.items() if item.is_device)
    for group in (*rules.same, devices):
        for name in group:
            same[name] |= set(group)
    support = {name: same[name] | set(rules.follows.get(name, ())) for name in observations}
    columns = {name: {item.column} - {None} for name, item in observations.items()}
    reached = {name: columns[name] | {*item.parents, *item.suggests} for name, item in observations.items()}
    graded = {name for group in rules.grades for name in group}
    for name in observations:
        for other in observations:
            if {name, other} <= graded or name == other:
                continue
            if columns[name] & reached[other] or columns[other] & reached[name]:
                support[name].add(other)
    return same, support
