"""Pooling: windows beside each other, of which the largest number or the mean stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import avg_pool2d, max_pool2d
from .figures import add_title, new_figure, styled
from .grids import draw_cells, draw_window, draw_words, plain, set_panel
from .style import INK, ORANGE, TINTS

NUMBERS = np.array([[1, 3, 2, 0], [4, 6, 1, 1], [0, 2, 9, 5], [1, 1, 7, 3]], np.float32)


@styled
def draw_pooling(image: Any = NUMBERS, size: int = 2, stride: int | None = None) -> Any:
    """Maximum and mean of each window of a grid of numbers.

    Parameters
    ----------
    image : array_like, (H, W)
        Few and short numbers.
    size : int
        Of the windows.
    stride : int, optional
        By default the size: windows that do not overlap, each in a colour of its own.

    Returns
    -------
    Figure
    """
    x = np.asarray(image, np.float32)
    step = size if stride is None else stride
    results = [
        (f"max pool {size}×{size}", max_pool2d(x[None, None], size, stride=step)[0, 0]),
        (f"average pool {size}×{size}", avg_pool2d(x[None, None], size, stride=step)[0, 0]),
    ]
    rows, columns = results[0][1].shape
    width = x.shape[1] + 2 * (columns + 3.0)
    figure, (ax,) = new_figure((0.62 * width, 0.62 * (max(x.shape[0], rows) + 2.2)))
    set_panel(ax, width, x.shape[0] + 1)
    tints = np.array([[TINTS[(i * columns + j) % len(TINTS)] for j in range(columns)] for i in range(rows)], object)
    colors = np.full(x.shape, "white", object)
    for i, j in np.ndindex(rows, columns):
        colors[i * step : i * step + min(step, size), j * step : j * step + min(step, size)] = tints[i, j]
    largest = {_place_of_maximum(x, i * step, j * step, size) for i, j in np.ndindex(rows, columns)}
    draw_words(ax, (x.shape[1] / 2, 0.3), f"image {x.shape[0]}×{x.shape[1]}")
    draw_cells(ax, x, (0, 0.8), colors=colors)
    if step >= size:
        for i, j in np.ndindex(rows, columns):
            draw_window(ax, (j * step, 0.8 + i * step), (size, size), INK, width=2)
    for i, j in largest:
        draw_window(ax, (j + 0.14, 0.94 + i), (0.72, 0.72), ORANGE, width=1.6)
    left = x.shape[1] + 2.6
    for name, y in results:
        top = 0.8 + (x.shape[0] - rows) / 2
        draw_words(ax, (left + columns / 2, top - 0.5), name)
        draw_cells(ax, y, (left, top), colors=tints, text=plain)
        left += columns + 3.0
    add_title(figure, f"Pooling: windows {size}×{size}, stride {step}; the largest of each window is framed")
    return figure


def _place_of_maximum(x: np.ndarray, top: int, left: int, size: int) -> tuple[int, int]:
    window = x[top : top + size, left : left + size]
    i, j = np.unravel_index(int(window.argmax()), window.shape)
    return top + int(i), left + int(j)
