"""Small random changes of a training image that leave its findings, and their sides, as they are."""

from __future__ import annotations

import math
import random

from PIL import Image

BLACK = (0, 0, 0)


def augment_image(image: Image.Image, generator: random.Random) -> Image.Image:
    """Shift up to 4 %, scale up to 5 %, rotate up to 4 degrees, change contrast and brightness up to 15 %.

    Never mirrors: left and right are findings.
    """
    width, height = image.size
    angle = math.radians(generator.uniform(-4, 4))
    scale = generator.uniform(0.95, 1.05)
    shift_x, shift_y = (generator.uniform(-0.04, 0.04) * side for side in (width, height))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    centre_x, centre_y = width / 2 + shift_x, height / 2 + shift_y
    # Pillow wants the inverse map: output pixel -> input pixel, about the image's centre.
    matrix = (
        *(cos, sin, width / 2 - cos * centre_x - sin * centre_y),
        *(-sin, cos, height / 2 + sin * centre_x - cos * centre_y),
    )
    moved = image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=BLACK
    )
    gain, offset = generator.uniform(0.85, 1.15), generator.uniform(-20, 20)
    return moved.point(
        [min(255, max(0, round(gain * (level - 128) + 128 + offset))) for level in range(256)] * 3
    )
