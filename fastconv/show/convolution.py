"""One number of a convolution: window times kernel, summed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import conv2d
from .edges import SOBEL_X
from .figures import add_title, new_figure, styled
from .grids import draw_arrow, draw_cells, draw_window, draw_words, plain, set_panel
from .style import BLUE, ORANGE, TINTS

IMAGE = np.array(
    [[0, 0, 1, 2, 2, 1], [0, 1, 2, 3, 2, 1], [1, 2, 3, 3, 1, 0], [2, 3, 3, 1, 0, 0], [2, 2, 1, 0, 0, 1]], np.float32
)


@styled
def draw_convolution(image: Any = IMAGE, kernel: Any = SOBEL_X, row: int = 1, column: int = 2) -> Any:
    """One output number in full: the window, the products and their sum, and where it stands in the result.

    Parameters
    ----------
    image : array_like, (H, W)
        Few and short numbers.
    kernel : array_like, (KH, KW)
    row, column : int
        Of the output number.

    Returns
    -------
    Figure
    """
    x, w = np.asarray(image, np.float32), np.asarray(kernel, np.float32)
    y = conv2d(x[None, None], w[None, None], method="direct")[0, 0]
    (H, W), (KH, KW) = x.shape, w.shape
    window = x[row : row + KH, column : column + KW]
    width = W + KW + KW + y.shape[1] + 8.4
    figure, (ax,) = new_figure((0.5 * width, 0.5 * (H + 3.6)))
    set_panel(ax, width, H + 1.6)
    colors = np.full(x.shape, TINTS[0], object)
    colors[row : row + KH, column : column + KW] = TINTS[1]
    draw_words(ax, (W / 2, -0.1), f"image {H}×{W}")
    draw_cells(ax, x, (0, 0.5), colors=colors)
    draw_window(ax, (column, 0.5 + row), (KW, KH), ORANGE)
    middle = 0.5 + H / 2
    left = W + 2.4
    for values, name, sign in ((w, "kernel", "×"), (window * w, "products", "=")):
        draw_words(ax, (left - 1.2, middle), sign, 16)
        draw_words(ax, (left + KW / 2, middle - KH / 2 - 0.6), name)
        draw_cells(ax, values, (left, middle - KH / 2), colors=TINTS[8] if name == "kernel" else TINTS[1])
        left += KW + 2.4
    draw_arrow(ax, (left - 2.1, middle), (left - 0.3, middle))
    draw_words(ax, (left - 1.2, middle - 0.6), "sum")
    draw_words(ax, (left + y.shape[1] / 2, middle - y.shape[0] / 2 - 0.6), f"result {y.shape[0]}×{y.shape[1]}")
    corner = (left, middle - y.shape[0] / 2)
    draw_cells(ax, y, corner, colors=TINTS[2])
    draw_window(ax, (corner[0] + column, corner[1] + row), (1, 1), ORANGE)
    terms = " + ".join(_factor(float(a), float(b)) for a, b in zip(window.flat, w.flat, strict=True) if b)
    draw_words(ax, (width / 2, H + 1.3), f"{terms} = {plain(y[row, column])}", color=BLUE)
    add_title(figure, f"One number of the result: row {row}, column {column}")
    return figure


def _factor(a: float, b: float) -> str:
    return f"{plain(a)}·{plain(b)}" if b >= 0 else f"{plain(a)}·({plain(b)})"
