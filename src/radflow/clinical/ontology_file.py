"""Read an ontology from YAML: every mistake in one message, each with its file and line."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from radflow.clinical.ontology import ENGLISH, ENTITY_LISTS, Cues, Ontology
from radflow.clinical.phrases import expand
from radflow.errors import ConfigError
from radflow.registry import nearest
from radflow.yaml_text import read_yaml

Keys = tuple[str | int, ...]

_FOLDER = files("radflow.clinical") / "ontologies"
SHARED = {"cues": "cues.yaml", "graph": "graph.yaml", "agreement": "agreement.yaml"}
"""Sections of every English ontology that begin with a shipped file."""


def shipped_ontologies() -> list[str]:
    """Names that ``--ontology`` knows."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return sorted(
        name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name not in SHARED.values()
    )


@lru_cache(maxsize=8)
def load_ontology(name_or_path: str) -> Ontology:
    """A shipped ontology by name, or one of your own by the path of its .yaml file.

    Raises:
        ConfigError: unknown name, unreadable file, or mistakes in it, each with its line.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the ontology can't be read: {type(error).__name__}",
                where=name_or_path,
                next_step=f"Shipped ones: {', '.join(shipped_ontologies())}.",
            ) from None
        return read_ontology(text, where=name_or_path)
    known = shipped_ontologies()
    if name_or_path not in known:
        raise ConfigError(
            f"unknown ontology {name_or_path!r}",
            next_step=f"{nearest(name_or_path, known)}Known: {', '.join(known)}, or the path of a .yaml file "
            "(docs/labeler.md says how to write one).",
        )
    file = f"{name_or_path}.yaml"
    return read_ontology((_FOLDER / file).read_text(encoding="utf-8"), where=file)


def read_ontology(text: str, *, where: str) -> Ontology:
    """An ontology from YAML text; ``where`` names the file in messages.

    Cues and words of graphs are the shared ones; sections ``cues:`` and ``graph:`` add to them. Of an
    ontology in another language they are its own alone; a list that it doesn't give is empty.
    """
    tree, lines = _parse(text, where)
    own = dict(tree)
    if tree.get("language", ENGLISH) == ENGLISH:
        for section, file in SHARED.items():
            shared, _ = _parse((_FOLDER / file).read_text(encoding="utf-8"), file)
            own[section] = _joined(shared, tree.get(section) or {})
    else:
        empty: dict[str, Any] = {name: {} if name == "changes" else [] for name in Cues.model_fields}
        own["cues"] = _joined(empty, tree.get("cues") or {})
    try:
        ontology = Ontology.model_validate(own)
    except ValidationError as error:
        problems = [(tuple(item["loc"]), _sentence(item)) for item in error.errors()]
    else:
        problems = list(_contradictions(ontology))
        if not problems:
            return ontology
    messages = [f"{where}:{_line(lines, keys)}: {_dotted(keys)}: {message}" for keys, message in problems]
    raise ConfigError("\n".join(messages), next_step="docs/labeler.md describes every key.")


def _parse(text: str, where: str) -> tuple[dict[str, Any], dict[Keys, int]]:
    node, tree = read_yaml(text, yaml.SafeLoader, where=where)
    if not isinstance(tree, dict):
        raise ConfigError("an ontology is a mapping (name:, observations:, ...)", where=where)
    return tree, dict(_lines(node, where))


def _lines(node: yaml.Node | None, where: str, keys: Keys = ()) -> Iterator[tuple[Keys, int]]:
    """Where each key and list item stands, counted from 1."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f"key {_dotted((*keys, key.value))} stands twice", where=f"{where}:{line}")
            seen.add(key.value)
            yield (*keys, key.value), line
            yield from _lines(value, where, (*keys, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*keys, number), value.start_mark.line + 1
            yield from _lines(value, where, (*keys, number))


def _line(lines: dict[Keys, int], keys: Keys) -> int:
    return next((lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in lines), 1)


def _dotted(keys: Keys) -> str:
    return ".".join(str(key) for key in keys) or "ontology"


def _sentence(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    return str(item["msg"]).removeprefix("Value error, ")


def _joined(shared: dict[str, Any], added: Any) -> Any:
    if not isinstance(added, dict):
        return added
    joined = dict(shared)
    for key, value in added.items():
        old = joined.get(key, [] if isinstance(value, list) else value)
        if isinstance(old, list) and isinstance(value, list):
            joined[key] = old + value
        elif isinstance(old, dict) and isinstance(value, dict):
            joined[key] = _joined(old, value)
        else:
            joined[key] = value
    return joined


def _contradictions(ontology: Ontology) -> Iterator[tuple[Keys, str]]:
    """What no single field shows: unknown names, phrases that don't parse or stand for two things."""
    columns = set(ontology.columns)
    if ontology.no_finding is not None and ontology.no_finding not in columns:
        yield ("no_finding",), f"{ontology.no_finding!r} is no column"
    for name, item in ontology.observations.items():
        place: Keys = ("observations", name)
        if item.column is not None and item.column not in columns:
            yield (*place, "column"), f"{item.column!r} is no column"
        for key in ("parents", "suggests"):
            for number, target in enumerate(getattr(item, key)):
                if target not in columns:
                    yield (*place, key, number), f"{target!r} is no column"
    for keys, target in _named_anatomy(ontology):
        if target not in ontology.anatomy:
            yield keys, f"{target!r} is no anatomy"
    for keys, target in _named_observations(ontology):
        if target not in ontology.observations:
            yield keys, f"{target!r} is no observation"
    for keys, target in _named_severities(ontology):
        if target not in ontology.severities:
            yield keys, f"{target!r} is no severity"
    known: dict[str, Container[str]] = {
        "observation": ontology.observations,
        "severity": ontology.severities,
        "anatomy": ontology.anatomy,
    }
    for keys, target, kind in _names_of_agreement(ontology):
        if target not in known[kind]:
            yield keys, f"{target!r} is no {kind}"
    yield from _bad_phrases(ontology)


def _named_observations(ontology: Ontology) -> Iterator[tuple[Keys, str]]:
    for name, structure in ontology.structures.items():
        for number, state in enumerate(structure.states):
            yield ("structures", name, "states", number, "observation"), state.observation
    for number, measure in enumerate(ontology.measures):
        for count, grade in enumerate(measure.grades):
            yield ("measures", number, "grades", count, "observation"), grade.observation
            for place, name in enumerate(grade.unless_denied):
                yield ("measures", number, "grades", count, "unless_denied", place), name
    for number, rule in enumerate(ontology.critical_rules):
        for key in ("observations", "together", "denied"):
            for count, target in enumerate(getattr(rule, key)):
                yield ("critical_rules", number, key, count), target


def _named_severities(ontology: Ontology) -> Iterator[tuple[Keys, str]]:
    for number, rule in enumerate(ontology.critical_rules):
        for count, target in enumerate(rule.severities):
            yield ("critical_rules", number, "severities", count), target


def _names_of_agreement(ontology: Ontology) -> Iterator[tuple[Keys, str, str]]:
    """Every name in ``agreement:`` with where it stands and what kind of name it is."""
    rules = ontology.agreement
    for key in ("same", "grades"):
        for number, group in enumerate(getattr(rules, key)):
            for count, name in enumerate(group):
                yield ("agreement", key, number, count), name, "observation"
    for key in ("follows", "denies", "denied_by", "denies_if_acute", "denies_if_new"):
        for name, targets in getattr(rules, key).items():
            yield ("agreement", key, name), name, "observation"
            for count, target in enumerate(targets):
                yield ("agreement", key, name, count), target, "observation"
    for key in ("must_report", "unasked", "coarse"):
        for count, name in enumerate(getattr(rules, key)):
            yield ("agreement", key, count), name, "observation"
    for name in rules.traces:
        yield ("agreement", "traces", name), name, "observation"
    for name in rules.ranks:
        yield ("agreement", "ranks", name), name, "severity"
    for level, places in rules.levels.items():
        for count, place in enumerate(places):
            yield ("agreement", "levels", level, count), place, "anatomy"


def _named_anatomy(ontology: Ontology) -> Iterator[tuple[Keys, str]]:
    for name, item in ontology.observations.items():
        for number, target in enumerate(item.needs_anatomy):
            yield ("observations", name, "needs_anatomy", number), target
    for number, measure in enumerate(ontology.measures):
        for count, target in enumerate(measure.needs_anatomy):
            yield ("measures", number, "needs_anatomy", count), target
    for number, rule in enumerate(ontology.critical_rules):
        for count, target in enumerate(rule.locations):
            yield ("critical_rules", number, "locations", count), target


def _bad_phrases(ontology: Ontology) -> Iterator[tuple[Keys, str]]:
    owners: dict[tuple[str, tuple[str, ...]], str] = {}
    for keys, phrase in _phrases(ontology.model_dump(mode="python"), ()):
        try:
            variants = expand(phrase)
        except ValueError as error:
            yield keys, str(error)
            continue
        section = str(keys[0])
        if (section == "observations" and keys[2] == "phrases") or keys[:2] in _ENTITY_LISTS:
            for variant in variants:
                owner = owners.setdefault((section, variant), str(keys[1]))
                if owner != keys[1]:
                    yield keys, f"the phrase {' '.join(variant)!r} already stands for {owner!r}"


_ENTITY_LISTS = {("graph", name) for name in ENTITY_LISTS}
_PHRASE_SECTIONS = frozenset({"anatomy", "sides", "severities", "cues", "graph"})
_PHRASE_KEYS = frozenset({"phrases", "exceptions", "present", "absent"})


def _phrases(value: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Every phrase of a dumped ontology with where it stands."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _phrases(child, (*keys, key))
    elif isinstance(value, tuple | list):
        for number, child in enumerate(value):
            yield from _phrases(child, (*keys, number))
    elif isinstance(value, str) and keys:
        names = [key for key in keys if isinstance(key, str)]
        if names[-1] in _PHRASE_KEYS or names[0] in _PHRASE_SECTIONS:
            yield keys, value
