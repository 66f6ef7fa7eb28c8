"""Winograd's minimal filtering: tiles that overlap, and fewer products for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from .figures import add_title, new_figure, styled
from .grids import draw_cells, draw_window, draw_words, plain, set_panel
from .style import GREEN, GREY, ORANGE, PURPLE, TINTS

# F(2x2, 3x3) of Lavin and Gray (2016): y = A'[(G w G') * (B' x B)]A
INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float64)
FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float64)
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float64)


def products(outputs: int, kernel: int = 3) -> tuple[int, int]:
    """Products for a tile of outputs × outputs numbers of a kernel × kernel convolution: direct, and Winograd's.

    >>> products(2), products(4)
    ((36, 16), (144, 36))
    """
    return (outputs * kernel) ** 2, (outputs + kernel - 1) ** 2


@styled
def draw_winograd() -> Any:
    """F(2×2, 3×3): tiles of 4×4 that overlap by 2, the three transforms, and the number of products.

    Returns
    -------
    Figure
    """
    figure, (ax,) = new_figure((12, 4.4))
    set_panel(ax, 31, 10.5)
    size = 8
    draw_words(ax, (size / 2, 0.4), "image: tiles of 4×4, 2 apart")
    draw_cells(ax, np.full((size, size), None), (0, 1), colors=TINTS[0])
    for (row, column), color, style in (((0, 0), ORANGE, "-"), ((0, 2), PURPLE, "--"), ((2, 0), GREEN, ":")):
        draw_window(ax, (column + 0.06, row + 1.06), (3.88, 3.88), color, style)
    left = 10.5
    for matrix, name, words, tint in (
        (INPUT, "$B^T$", "into 16 numbers", TINTS[0]),
        (FILTER, "$G$", "kernel into 16", TINTS[8]),
        (OUTPUT, "$A^T$", "into 2×2 results", TINTS[2]),
    ):
        rows, columns = matrix.shape
        draw_words(ax, (left + columns / 2, 0.7), name, 12)
        draw_cells(ax, matrix, (left, 1.4), colors=np.where(matrix != 0, tint, "white"), text=_short, size=9)
        draw_words(ax, (left + columns / 2, 1.4 + rows + 0.6), words, 9, GREY)
        left += columns + 1.6
    draw_words(ax, (11.2, 8.2), r"$y = A^T\,[\,(G\,w\,G^T)\odot(B^T x\,B)\,]\,A$", 13, ha="left")
    words = "one product for each of the 16 numbers; with many channels they are 16 products of matrices"
    draw_words(ax, (11.2, 9.6), words, 9, GREY, ha="left")
    for line, outputs in enumerate((2, 4)):
        direct, ours = products(outputs)
        text = f"F({outputs}×{outputs}, 3×3):\n{direct} products → {ours}\n{direct / ours:g} times fewer"
        draw_words(ax, (26.4, 2.2 + 3.2 * line), text, 10, ha="left")
    add_title(figure, "Winograd's method: fewer products for the same convolution")
    return figure


def _short(value: Any) -> str:
    return {0.5: "½", -0.5: "−½"}.get(float(value), plain(value))
