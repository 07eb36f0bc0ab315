"""What an ultrasound machine draws over its pictures: the letter of the side, and the marks of a scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GLYPHS = {
    "L": ("100", "100", "100", "100", "111"),
    "R": ("110", "101", "110", "101", "101"),
}
"""Five rows of three dots each."""
INK = 255


def draw_letter(image: NDArray[np.uint8], letter: str, *, row: int, column: int) -> None:
    """Write a side's letter on a black field in place; two pixels a dot at 64 pixels, and in proportion."""
    dot = dot_size(image.shape[0])
    cells = np.array([[int(cell) for cell in line] for line in GLYPHS[letter]], dtype=np.uint8)
    glyph = np.pad(cells.repeat(dot, axis=0).repeat(dot, axis=1) * INK, dot // 2)
    image[row : row + glyph.shape[0], column : column + glyph.shape[1]] = glyph


def dot_size(image_size: int) -> int:
    """Pixels to a dot of a letter."""
    return max(1, image_size // 32)


def letter_height(image_size: int) -> int:
    """Rows that a letter takes, its black edge included."""
    dot = dot_size(image_size)
    return 5 * dot + 2 * (dot // 2)


def draw_ticks(image: NDArray[np.uint8], rows: NDArray[np.int_], *, length: int) -> None:
    """Horizontal marks at the right edge in place; rows outside the image are left out."""
    inside = rows[(rows >= 0) & (rows < image.shape[0])]
    image[inside, image.shape[1] - length :] = INK
