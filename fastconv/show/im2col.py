"""im2col: windows become columns of a matrix, convolution a product of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import conv2d, unfold2d
from .figures import add_title, new_figure, styled
from .grids import draw_cells, draw_window, draw_words, set_panel
from .style import GREY, SERIES, TINTS

IMAGE = np.array([[1, 2, 0, 1], [0, 1, 3, 1], [2, 1, 0, 2], [1, 0, 1, 3]], np.float32)
KERNEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)


@styled
def draw_im2col(image: Any = IMAGE, kernel: Any = KERNEL) -> Any:
    """Each window of an image as a column of the matrix; the kernel as a row; their product is the convolution.

    Parameters
    ----------
    image : array_like, (H, W)
        Few and short numbers.
    kernel : array_like, (KH, KW)

    Returns
    -------
    Figure
    """
    x, w = np.asarray(image, np.float32), np.asarray(kernel, np.float32)
    columns = unfold2d(x[None, None], w.shape)[0]
    y = conv2d(x[None, None], w[None, None], method="im2col")[0, 0]
    taps, windows = columns.shape
    product = w.reshape(1, -1) @ columns
    row_width, height = taps, taps + 0.0
    width = max(x.shape[1], row_width) + windows + 7.5
    figure, (ax,) = new_figure((0.42 * width, 0.42 * (height + 3.4)))
    set_panel(ax, width, height + 2.2)
    tints = [TINTS[(i + 1) % len(TINTS)] for i in range(windows)]
    _draw_image(ax, x, w, y.shape)
    draw_words(ax, (row_width / 2, height - 0.4), f"kernel as a row 1×{taps}")
    draw_cells(ax, w.reshape(1, -1), (0, height + 0.1), colors=TINTS[8], size=9)
    left = row_width + 1.6
    draw_words(ax, (left - 0.8, height + 0.6), "×", 15)
    draw_words(ax, (left + windows / 2, 0.3), f"matrix {taps}×{windows}:\na window a column", 9)
    draw_cells(ax, columns, (left, 1.1), colors=np.broadcast_to(np.array(tints, object), columns.shape), size=9)
    left += windows + 1.6
    draw_words(ax, (left - 0.8, height + 0.6), "=", 15)
    draw_cells(ax, product, (left, height + 0.1), colors=[tints], size=9)
    draw_words(ax, (left + windows / 2, height - 0.4), f"1×{windows}")
    rows, across = y.shape
    draw_cells(ax, y, (left + (windows - across) / 2, 2.4), colors=np.array(tints, object).reshape(y.shape), size=9)
    draw_words(ax, (left + windows / 2, 1.5), f"as an image {rows}×{across}")
    draw_words(ax, (left + windows / 2, 2.4 + rows + 0.7), "the same numbers", 9, GREY)
    add_title(figure, "im2col: convolution as a product of matrices")
    return figure


def _draw_image(ax: Any, x: np.ndarray, w: np.ndarray, out: tuple[int, ...]) -> None:
    """The image with the frame of each window, in the colour of its column."""
    left, top = 1.0, 1.4
    draw_words(ax, (left + x.shape[1] / 2, 0.6), f"image {x.shape[0]}×{x.shape[1]}, {out[0] * out[1]} windows")
    draw_cells(ax, x, (left, top), colors=TINTS[0], size=9)
    for number, (i, j) in enumerate(np.ndindex(*out)):
        inset = 0.05 + 0.055 * number
        corner = (left + j + inset, top + i + inset)
        size = (w.shape[1] - 2 * inset, w.shape[0] - 2 * inset)
        draw_window(ax, corner, size, SERIES[(number + 1) % len(SERIES)], width=1.6)
