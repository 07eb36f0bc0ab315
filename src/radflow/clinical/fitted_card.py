"""The card (JSON) of something fitted: read whole, or refused when it is foreign, newer or damaged"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import ModelError


@dataclass(frozen=True)
class CardKind:
    """What radflow fits and keeps in a folder of its own, as its card names it.

    Attributes:
        name: what messages call it.
        file: the card's name in the folder.
        format, version: what stands in it.
        max_bytes: no fit writes as much: what is larger isn't read.
        command: what fits one, with the names of its arguments.
    """

    name: str
    file: str
    format: str
    version: int
    max_bytes: int
    command: str

    @property
    def head(self) -> dict[str, Any]:
        """What every card of the kind says of itself."""
        return {"format": self.format, "version": self.version}

    def read(self, folder: Path) -> dict[str, Any]:
        """The whole card.

        Raises:
            ModelError: nothing there, another format, one of a newer radflow, damaged.
        """
        path = folder / self.file
        try:
            if path.stat().st_size > self.max_bytes:
                raise self.unusable(folder, f"{self.file} is larger than any that radflow writes")
            card = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        except FileNotFoundError:
            raise ModelError(
                f"no fitted {self.name} there: {self.file} is missing",
                where=str(folder),
                next_step=f"Fit one: {self.command}.",
            ) from None
        except (OSError, ValueError):
            raise self.unusable(folder, f"{self.file} can't be read as JSON") from None
        if not isinstance(card, dict) or card.get("format") != self.format:
            raise self.unusable(folder, f"{self.file} is none of radflow's fitted {self.name}s")
        version = card.get("version")
        if version != self.version:
            raise ModelError(
                f"the fitted {self.name} has format version {version}, and this radflow reads {self.version}",
                where=str(folder),
                next_step=f"Update radflow, or fit it again: {self.command}.",
            )
        return card

    def unusable(self, folder: Path, what: str) -> ModelError:
        return ModelError(what, where=str(folder), next_step=f"Fit it again: {self.command}.")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of a model")
