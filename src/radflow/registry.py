"""Look up a plug-in by name: a registry is one dict of name -> "module:attribute", imported when used."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from radflow.errors import ConfigError


def resolve(kind: str, registry: Mapping[str, str], name: str) -> Any:
    """Import what ``name`` stands for.

    Args:
        kind: what the registry holds, for the message ("data source").

    Raises:
        ConfigError: unknown name; lists the known ones and the nearest.
    """
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"unknown {kind} {name!r}", next_step=f"{hint}Known: {', '.join(sorted(registry))}."
        )
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)
