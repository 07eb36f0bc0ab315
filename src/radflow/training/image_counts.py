"""Tell a model how many images each row has, where its forward asks for it and TRL doesn't pass it on

LLaVA-OneVision tiles the image of a row that has one, and shows several as they are. Told nothing, it tiles
them all.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

ARGUMENT = "batch_num_images"


@contextmanager
def images_per_row(model: nn.Module, counts: Sequence[int] | None) -> Iterator[None]:
    """While open, calls of the model get the images of their rows, in order.

    Args:
        counts: images of each row of all calls together; None where no row has any.
    """
    taker = next((module for module in model.modules() if _asks(module)), None)
    if taker is None or counts is None:
        yield
        return
    left = list(counts)

    def tell(_: nn.Module, arguments: Any, options: dict[str, Any]) -> Any:
        rows = options["input_ids"]
        options[ARGUMENT] = torch.tensor(left[: len(rows)], device=rows.device)
        del left[: len(rows)]
        return arguments, options

    handle = taker.register_forward_pre_hook(tell, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _asks(module: nn.Module) -> bool:
    return ARGUMENT in inspect.signature(type(module).forward).parameters
