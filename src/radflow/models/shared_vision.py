"""See each image once: a frozen vision encoder's features for a group's completions, and for its later passes

A group's prompts show the same images, and every pass over a generation batch shows them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from radflow.models.vlm import VISION_NAMES


@contextmanager
def images_seen_once(model: nn.Module) -> Iterator[None]:
    """While open, the model's vision encoder encodes equal images of a call once, and the last call's again
    not at all. A model with an encoder that learns, or that takes anything but (images, channels, height,
    width), is left as it is.
    """
    encoder = frozen_encoder(model)
    if encoder is None:
        yield
        return
    original, known = encoder.forward, _Known()

    def forward(pixel_values: Tensor, *arguments: Any, **options: Any) -> Any:
        plain = isinstance(pixel_values, Tensor) and pixel_values.ndim == 4 and not arguments
        if not plain or pixel_values.requires_grad or any(isinstance(o, Tensor) for o in options.values()):
            return original(pixel_values, *arguments, **options)
        distinct, place = torch.unique(pixel_values, dim=0, return_inverse=True)
        # Under autocast the same images give features of another precision.
        how = {**options, "autocast": torch.is_autocast_enabled(pixel_values.device.type)}
        output = known.look_up(distinct, how)
        if output is None:
            with torch.no_grad():
                output = original(distinct, **options)
            known.keep(distinct, how, output)
        return type(output)(**{name: _rows(value, place) for name, value in output.items()})

    encoder.forward = forward
    try:
        yield
    finally:
        del encoder.forward


def frozen_encoder(model: nn.Module) -> nn.Module | None:
    """The model's vision encoder if all of it is frozen and has no dropout that acts."""
    for name, module in model.named_modules():
        if name.rsplit(".", 1)[-1] in VISION_NAMES:
            learns = any(parameter.requires_grad for parameter in module.parameters())
            drops = any(isinstance(part, nn.Dropout) and part.p for part in module.modules())
            return None if learns or drops else module
    return None


class _Known:
    """The last output, with what it was computed from. Tensors of inference mode can't serve a later pass
    with gradients, so those are not kept."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, dict[str, Any], Any] | None = None

    def look_up(self, images: Tensor, options: dict[str, Any]) -> Any:
        if self._last is None or torch.is_inference_mode_enabled():
            return None
        seen, with_options, output = self._last
        return output if with_options == options and torch.equal(seen, images) else None

    def keep(self, images: Tensor, options: dict[str, Any], output: Any) -> None:
        if not torch.is_inference_mode_enabled():
            self._last = (images, dict(options), output)


def _rows(value: Any, place: Tensor) -> Any:
    """Features of each image from those of the distinct ones; tuples (hidden states) by member."""
    if isinstance(value, tuple):
        return tuple(_rows(member, place) for member in value)
    return value[place] if isinstance(value, Tensor) else value
