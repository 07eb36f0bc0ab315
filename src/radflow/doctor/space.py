"""What a run writes to disk: prepared images, models, checkpoints while it trains"""

from __future__ import annotations

from radflow.config import RunConfig
from radflow.doctor.shapes import Shape

CHECKPOINTS = 3
"""The last two and the best; each holds what learns and its optimiser's two moments in float32."""
ROW = 8 * 1024
"""Rows of studies, predictions and scores of one study, together, at most."""


def run_bytes(config: RunConfig, shape: Shape | None, studies: int) -> int:
    """An upper estimate in bytes.

    An image takes at most a byte a pixel, since its three colours are alike and PNG packs them; its sides are
    at most data.image_long_side. Models: what SFT and RFT leave, and the one that radflow made, each whole
    unless it is an adapter.
    """
    side = config.data.phantoms.size if config.data.source == "phantoms" else config.data.image_long_side
    images = studies * config.data.max_images * side**2
    if shape is None:
        return images + studies * ROW
    whole = shape.value_bytes * shape.parameters
    sft = 4 * shape.adapter_sft or whole
    models = sft + ("rft" in config.stages) * whole + ("control" in config.stages) * sft
    models += config.model.is_made * whole
    learning = max(shape.learning_sft, shape.learning_rft)
    return images + studies * ROW + models + CHECKPOINTS * 12 * learning
