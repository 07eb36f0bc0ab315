"""What counts as an identifier, as data: YAML files of patterns with the words that they name"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radflow.errors import ConfigError
from radflow.registry import nearest

SHIPPED = ("en", "de")
COMMON = "common"
DEEPEST = 5
"""Words may name words that name words, but not without end."""
_WORD = re.compile(r"\{([a-z_]+)\}")


class Rule(NamedTuple):
    """One pattern of identifiers.

    Attributes:
        kind: what it finds; stands in the place of what is found.
        pattern: of its matches the group "hide" is replaced, or all of the match without such a group.
        after: what must stand before a match, searched in the characters before it; ``None``: anything.
    """

    kind: str
    pattern: re.Pattern[str]
    after: re.Pattern[str] | None


class Rules(NamedTuple):
    """Rules in the order in which they count, and passages that are never touched."""

    rules: tuple[Rule, ...]
    keep: tuple[re.Pattern[str], ...]


class _RuleLine(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: str = Field(pattern=r"^[a-z][a-z_]{0,20}$")
    pattern: str
    after: str | None = None


class _RuleFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    words: dict[str, list[str]] = {}
    keep: list[str] = []
    rules: list[_RuleLine] = []


def load_rules(names: Sequence[str]) -> Rules:
    """The rules of every language, and of shipped languages or own files by name, in that order.

    Args:
        names: "en", "de", or paths of .yaml files; docs/privacy.md says what these hold.

    Raises:
        ConfigError: no such rules, or a file that can't be read as such; its patterns aren't shown.
    """
    return _loaded(tuple(names))


@lru_cache(maxsize=8)
def _loaded(names: tuple[str, ...]) -> Rules:
    common = _read(COMMON)
    parts = [_compiled(common, common.words, COMMON)]
    for name in dict.fromkeys(names):
        own = _read(name)
        parts.append(_compiled(own, {**common.words, **own.words}, name))
    return Rules(
        tuple(rule for part in parts for rule in part.rules),
        tuple(pattern for part in parts for pattern in part.keep),
    )


def _read(name: str) -> _RuleFile:
    try:
        if name in (COMMON, *SHIPPED):
            text = (files("radflow.privacy") / "rules" / f"{name}.yaml").read_text(encoding="utf-8")
        elif name.endswith((".yaml", ".yml")):
            text = Path(name).read_text(encoding="utf-8")
        else:
            raise ConfigError(
                f"there are no scrubbing rules {name!r}",
                next_step=f"{nearest(name, SHIPPED)}Known: {', '.join(SHIPPED)}, or a .yaml file's path.",
            )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"scrubbing rules can't be read ({type(error).__name__})", where=name) from None
    try:
        return _RuleFile.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            "scrubbing rules are no valid YAML", where=f"{name}:{mark.line + 1}" if mark else name
        ) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigError(
            f"scrubbing rules don't fit: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=name,
            next_step="docs/privacy.md shows what such a file holds.",
        ) from None


def _compiled(file: _RuleFile, words: Mapping[str, Sequence[str]], name: str) -> Rules:
    rules = tuple(
        Rule(
            line.kind,
            _pattern(line.pattern, words, f"{name}, rule {number}"),
            None if line.after is None else _pattern(line.after, words, f"{name}, rule {number}, after"),
        )
        for number, line in enumerate(file.rules, 1)
    )
    keep = tuple(_pattern(text, words, f"{name}, keep {number}") for number, text in enumerate(file.keep, 1))
    return Rules(rules, keep)


def _pattern(text: str, words: Mapping[str, Sequence[str]], where: str) -> re.Pattern[str]:
    def alternatives(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise ConfigError(f"a pattern names the words {match[1]!r}, which nobody defines", where=where)
        return f"(?:{'|'.join(words[match[1]])})"

    rounds = 0
    while _WORD.search(text):  # words may name words
        text = _WORD.sub(alternatives, text)
        rounds += 1
        if rounds > DEEPEST:
            raise ConfigError("the words of a pattern name each other", where=where)
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"a pattern is no regular expression: {error.msg}", where=where) from None
