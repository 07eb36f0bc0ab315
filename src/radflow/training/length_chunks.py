"""Log-probabilities in chunks of completions of alike length, so that one endless report pads few others

TRL pads all completions of a generation batch to the longest. Reports differ in length by a factor of three,
and forward and backward passes of a small model spent up to half of their time on padding (docs/results.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

CHUNK_ROWS = 16
"""Fewer rows a chunk save more padding, until products of small matrices stop paying."""
BY_ROW = {"pixel_values", "pixel_attention_mask", "image_sizes", "token_type_ids", "mm_token_type_ids"}
"""Arguments of a pass that have a row for each completion, where each completion shows one image."""
OTHER_LAYOUT = ("image_grid_thw", "spatial_shapes", "num_tiles", "image_position_ids")
"""Arguments that come with pixels in patches or tiles; such rows are left together."""


class LengthChunks:
    """To be mixed into TRL's GRPOTrainer: the same values, to rounding, with less padding.

    Attributes:
        chunk_rows: completions of a chunk; ``None`` leaves all together.
    """

    chunk_rows: int | None = None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **options: Any,
    ) -> tuple[Any, ...]:
        """Log-probabilities and entropies (rows, logits_to_keep), 0 where a chunk has ended; and None."""
        one_pass = super()._get_per_token_logps_and_entropies  # type: ignore[misc]
        rows = len(input_ids)
        if not self._may_part(rows, options):
            whole: tuple[Any, ...] = one_pass(
                model, input_ids, attention_mask, logits_to_keep, batch_size, **options
            )
            return whole
        lengths = attention_mask[:, -logits_to_keep:].sum(dim=1)
        order = lengths.argsort(stable=True)
        passed = []
        for chunk in torch.split(order, self.chunk_rows or rows):
            unused = logits_to_keep - max(1, int(lengths[chunk].max()))
            width = input_ids.shape[1] - unused
            logps, entropies, _ = one_pass(
                model,
                input_ids[chunk, :width],
                attention_mask[chunk, :width],
                logits_to_keep - unused,
                batch_size,
                **_of_rows(options, chunk, width),
            )
            passed.append((_filled(logps, unused), _filled(entropies, unused)))
        back = order.argsort()
        logps, entropies = zip(*passed, strict=True)
        return (
            torch.cat(logps)[back],
            None if entropies[0] is None else torch.cat(entropies)[back],
            None,
        )

    def _may_part(self, rows: int, options: dict[str, Any]) -> bool:
        """Whether rows can be taken one by one, and several forward passes to one backward pass are safe."""
        counts = options.get("num_images")
        pixels = options.get("pixel_values")
        return (
            self.chunk_rows is not None
            and rows > self.chunk_rows
            and self.accelerator.num_processes == 1  # type: ignore[attr-defined]
            and not options.get("compute_aux_loss")
            and all(options.get(name) is None for name in OTHER_LAYOUT)
            and (counts is None or all(count == 1 for count in counts))
            and (pixels is None or len(pixels) == rows)
        )


def _of_rows(options: dict[str, Any], chunk: Tensor, width: int) -> dict[str, Any]:
    """The arguments of a pass over some rows, and of their first ``width`` tokens."""
    chosen = dict(options)
    for name in BY_ROW & options.keys():
        if options[name] is not None:
            chosen[name] = options[name][chunk]
            if name.endswith("token_type_ids"):
                chosen[name] = chosen[name][:, :width]
    if options.get("num_images") is not None:
        chosen["num_images"] = [1] * len(chunk)
    return chosen


def _filled(values: Tensor | None, unused: int) -> Tensor | None:
    return None if values is None else pad(values, (0, unused))
