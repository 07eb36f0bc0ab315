"""What settings are made of: the base of all sections, paths and names of models, shares and counts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

ENV_PATTERN = re.compile(r"\$\{(\w+)\}")


class FromCommandLine(str):
    """A value given with --set: relative paths in it start from the working directory."""


def _resolve(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    missing = [name for name in ENV_PATTERN.findall(value) if name not in os.environ]
    if missing:
        raise ValueError(f"environment variable {missing[0]} is not set")
    try:
        path = Path(ENV_PATTERN.sub(lambda match: os.environ[match[1]], value)).expanduser()
    except RuntimeError:
        raise ValueError("~ names a user who has no home folder here") from None
    base = Path.cwd() if isinstance(value, FromCommandLine) else (info.context or {}).get("base", Path.cwd())
    return path if path.is_absolute() else Path(os.path.normpath(base / path))


def _resolve_model(value: object, info: ValidationInfo) -> object:
    """A name that starts like a path is a folder; anything else is a hub id or one of MADE_MODELS."""
    if isinstance(value, str) and value.startswith((".", "/", "~")):
        return str(_resolve(value, info))
    return value


DataPath = Annotated[Path, BeforeValidator(_resolve)]
ModelName = Annotated[str, BeforeValidator(_resolve_model)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
