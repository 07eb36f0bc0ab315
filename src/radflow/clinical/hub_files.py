"""Where the weights of hub models are looked for, and the one error that says what is missing

Nothing is downloaded unless a setting names a hub id: a folder, or no setting at all, stays on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from radflow.errors import ModelError

SCORERS_REPOSITORY = "StanfordAIMI/RRG_scorers"
"""The hub id under which CheXbert's and RadGraph's authors publish their weights."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(source: str | Path | None) -> bool:
    """Whether a setting names a hub repository ("owner/name") and no file or folder that exists."""
    return isinstance(source, str) and bool(_HUB_ID.fullmatch(source)) and not Path(source).exists()


def hub_folder(repository: str, patterns: Sequence[str], *, download: bool) -> Path | None:
    """A folder with those files of a hub repository that match: from the local cache, or fetched if allowed.

    Returns:
        ``None`` where there are none: not cached, no network, no such repository.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(repository, allow_patterns=list(patterns), local_files_only=not download)
    except (OSError, ValueError):
        return None
    return Path(folder)


def missing_model(what: str, *, looked: Iterable[object], get: str, default: str) -> ModelError:
    """The error for a hub model that can't be used here.

    Args:
        what: what is missing.
        looked: every place that was looked at.
        get: how to get it.
        default: the registry name that works without any download.
    """
    return ModelError(
        f"{what} is missing",
        where="looked in " + ", ".join(str(place) for place in looked),
        next_step=f"{get}\nOr take the embedded default, {default!r}, which needs no download.",
    )


def pick_device(choice: str) -> str:
    """The device for a hub model; auto takes a GPU if there is one.

    Raises:
        ModelError: a CUDA device is asked for that isn't there.
    """
    import torch

    if choice == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if choice.startswith("cuda"):
        _, _, number = choice.partition(":")
        if int(number or 0) >= torch.cuda.device_count():
            raise ModelError("no such CUDA device is available", where=choice, next_step="Set it to auto.")
    return choice
