"""Look up a plug-in by name: a registry is one dict of name -> "module:attribute", imported when used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from radflow.errors import ConfigError


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, with a space after it; empty when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def names_in(text: str) -> list[str]:
    """The names in a text with commas, as often as they stand there."""
    return [name.strip() for name in text.split(",") if name.strip()]


def resolve(kind: str, registry: Mapping[str, str], name: str) -> Any:
    """Import what ``name`` stands for.

    Args:
        kind: what the registry holds, for the message ("data source").

    Raises:
        ConfigError: unknown name; lists the known ones and the nearest.
    """
    if name not in registry:
        raise ConfigError(
            f"unknown {kind} {name!r}",
            next_step=f"{nearest(name, registry)}Known: {', '.join(sorted(registry))}.",
        )
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)
