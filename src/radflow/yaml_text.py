"""YAML that people wrote, as nodes and values: what is wrong with it is one ConfigError; bombs are refused"""

from __future__ import annotations

from typing import Any

import yaml

from radflow.errors import ConfigError

MAX_VALUES = 100_000
"""Values and keys of a file with its aliases unfolded; the largest shipped one has 3,000."""
_UNDER_WAY = -1


def read_yaml(text: str, loader: type[yaml.SafeLoader], *, where: str) -> tuple[yaml.Node | None, Any]:
    """The root node, which knows its lines, and the value; ``None`` and ``None`` of an empty text.

    Raises:
        ConfigError: no valid YAML, a value that its type doesn't know (an impossible date), nesting too deep,
            or aliases that stand inside of what they name or unfold to more than `MAX_VALUES` values.
    """
    try:
        node = yaml.compose(text, Loader=loader)
        if node is not None and _unfolded(node, {}) > MAX_VALUES:
            raise ConfigError(f"aliases (*name) unfold to more than {MAX_VALUES:,} values", where=where)
        return node, yaml.load(text, Loader=loader)  # noqa: S506 (a SafeLoader: it builds plain values only)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        raise ConfigError(
            f"not valid YAML: {getattr(error, 'problem', None) or 'unreadable characters'}",
            where=place,
            next_step="Mend that line or the one above it: indents are blanks, lists have both brackets.",
        ) from None
    except RecursionError:
        raise ConfigError("not valid YAML: nested too deep", where=where) from None
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        # PyYAML's constructors raise them for what looks like a date or a number and is none.
        raise ConfigError(
            f"not valid YAML: a date, a number or a tagged value can't be read ({type(error).__name__})",
            where=where,
            next_step="Put quotes around it if it is meant as text.",
        ) from None


def _unfolded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Nodes from here on, those that aliases name counted at every place; each is walked through once."""
    known = sizes.get(id(node))
    if known == _UNDER_WAY:
        raise yaml.MarkedYAMLError(problem="an alias stands inside of what it names")
    if known is not None:
        return known
    sizes[id(node)] = _UNDER_WAY
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    sizes[id(node)] = 1 + sum(_unfolded(part, sizes) for part in parts)
    return sizes[id(node)]
