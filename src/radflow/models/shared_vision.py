"""See each image once: a frozen vision encoder's features for a group's completions, and for its later passes

A group's prompts show the same images, and every pass over a generation batch shows them again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from radflow.models.vlm import VISION_NAMES

GRID = "grid_thw"
CALLS_KEPT = 8
"""A pass in chunks of alike length (training/length_chunks.py) is as many calls: all serve the next pass."""


@contextmanager
def images_seen_once(model: nn.Module) -> Iterator[None]:
    """While open, the model's vision encoder encodes equal images of a call once, and those of one of
    the last calls not again. A model with an encoder that learns, or a call that `Images.of` doesn't
    understand, is left as it is.
    """
    encoder = frozen_encoder(model)
    if encoder is None:
        yield
        return
    original, known = encoder.forward, _Known()

    def forward(*arguments: Any, **options: Any) -> Any:
        images = Images.of(*arguments, **options)
        if images is None:
            return original(*arguments, **options)
        distinct, place = images.distinct()
        # Under autocast the same images give features of another precision.
        how = {**images.options, "autocast": torch.is_autocast_enabled(images.pixels[0].device.type)}
        found = known.look_up(distinct, how)
        if found is None:
            with torch.no_grad():
                output = original(torch.cat(distinct.pixels), **distinct.tensor_options(), **images.options)
            known.keep(distinct, how, output)
        else:
            distinct, output, places = found
            place = [places[image] for image in place]
        if place == list(range(len(distinct))):
            return type(output)(**output)  # callers write into it
        return type(output)(**{name: _of_images(value, distinct, place) for name, value in output.items()})

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


@dataclass(frozen=True)
class Images:
    """A call of an encoder, image by image.

    Attributes:
        pixels: of each image, (1, channels, height, width) or (patches, values).
        tensors: the call's other tensors by argument, a row per image.
        options: the call's other arguments.
    """

    pixels: list[Tensor]
    tensors: dict[str, list[Tensor]]
    options: dict[str, Any]

    @classmethod
    def of(cls, *arguments: Any, **options: Any) -> Images | None:
        """Pixels (images, channels, height, width), or (patches, values) with ``grid_thw`` (images, 3); other
        tensors must have a row per image. None for any other call, and for pixels that want gradients."""
        pixels = arguments[0] if arguments else options.pop("pixel_values", None)
        if len(arguments) > 1 or not isinstance(pixels, Tensor) or pixels.requires_grad:
            return None
        tensors = {name: option for name, option in options.items() if isinstance(option, Tensor)}
        sizes = [1] * len(pixels)
        if pixels.ndim == 2 and GRID in tensors:
            sizes = tensors[GRID].prod(dim=-1).tolist()
        elif pixels.ndim != 4:
            return None
        if (
            not sizes
            or sum(sizes) != len(pixels)
            or any(t.shape[:1] != (len(sizes),) for t in tensors.values())
        ):
            return None
        others = {name: option for name, option in options.items() if name not in tensors}
        by_image = {name: list(torch.split(tensor, 1)) for name, tensor in tensors.items()}
        return cls(list(torch.split(pixels, sizes)), by_image, others)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def rows(self) -> list[int]:
        """Rows of the call's pixels that each image has."""
        return [len(pixels) for pixels in self.pixels]

    def tensor_options(self) -> dict[str, Tensor]:
        return {name: torch.cat(column) for name, column in self.tensors.items()}

    def distinct(self) -> tuple[Images, list[int]]:
        """The different images in order of appearance, and the place among them of each image."""
        chosen: list[int] = []
        place = []
        for image in range(len(self)):
            # The newest first: a group's images follow each other.
            alike = (at for at in reversed(range(len(chosen))) if self._equal(image, self, chosen[at]))
            found = next(alike, None)
            if found is None:
                found = len(chosen)
                chosen.append(image)
            place.append(found)
        tensors = {name: [column[image] for image in chosen] for name, column in self.tensors.items()}
        return Images([self.pixels[image] for image in chosen], tensors, self.options), place

    def places_in(self, other: Images) -> list[int] | None:
        """Where each image stands in ``other``; None unless all do."""
        places = []
        for image in range(len(self)):
            found = next((its for its in range(len(other)) if self._equal(image, other, its)), None)
            if found is None:
                return None
            places.append(found)
        return places

    def _equal(self, image: int, other: Images, its: int) -> bool:
        if self.pixels[image].shape != other.pixels[its].shape or self.tensors.keys() != other.tensors.keys():
            return False
        return torch.equal(self.pixels[image], other.pixels[its]) and all(
            torch.equal(column[image], other.tensors[name][its]) for name, column in self.tensors.items()
        )


class _Known:
    """The last outputs, with what they were computed from. Tensors of inference mode can't serve a later pass
    with gradients, so those are not kept."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Images, dict[str, Any], Any]] = deque(maxlen=CALLS_KEPT)

    def look_up(self, images: Images, options: dict[str, Any]) -> tuple[Images, Any, list[int]] | None:
        """Known images, their output, and the place of each of ``images`` among them, if all are known."""
        if torch.is_inference_mode_enabled():
            return None
        for seen, with_options, output in reversed(self._calls):
            places = images.places_in(seen) if with_options == options else None
            if places is not None:
                return seen, output, places
        return None

    def keep(self, images: Images, options: dict[str, Any], output: Any) -> None:
        if not torch.is_inference_mode_enabled():
            self._calls.append((images, dict(options), output))


def _of_images(value: Any, distinct: Images, place: Sequence[int]) -> Any:
    """Features of each image from those of the distinct ones; tuples and lists (layers) by member.

    A tensor's rows are shared among the images as pixel rows are: an encoder may merge some of an image's.
    """
    if isinstance(value, (tuple, list)):
        return type(value)(_of_images(member, distinct, place) for member in value)
    if not isinstance(value, Tensor):
        return value
    rows = distinct.rows
    by_image = torch.split(value, [size * len(value) // sum(rows) for size in rows])
    return torch.cat([by_image[at] for at in place])
