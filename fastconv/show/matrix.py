"""Convolution as one matrix: a row for each number of the result, the kernel's numbers on diagonals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import conv2d
from .figures import add_title, new_figure, styled
from .grids import draw_cells, draw_words, set_panel
from .style import GREY, PALE, TINTS


def convolution_matrix(kernel: Any, size: tuple[int, int], padding: Any = 0) -> np.ndarray:
    """The matrix T with ``T @ x.ravel() == conv2d(x, kernel).ravel()``: doubly blocked Toeplitz without padding.

    Parameters
    ----------
    kernel : array_like, (KH, KW)
    size : (int, int)
        Of the image.
    padding : as for `fastconv.conv2d`

    Returns
    -------
    ndarray of float32, (OH * OW, H * W)

    Examples
    --------
    >>> convolution_matrix([[1, 2]], (1, 3))
    array([[1., 2., 0.],
           [0., 1., 2.]], dtype=float32)
    """
    w = np.asarray(kernel, np.float32)
    pixels = np.eye(size[0] * size[1], dtype=np.float32).reshape(-1, 1, *size)  # an image for each pixel
    responses = conv2d(pixels, w[None, None], padding=padding, method="direct")
    return np.ascontiguousarray(responses.reshape(len(pixels), -1).T)


@styled
def draw_matrix(kernel: int = 3, size: int = 4, large: int = 10) -> Any:
    """The matrix of a small convolution with its weights named, and the pattern of a larger one.

    Parameters
    ----------
    kernel : int
        Rows and columns of the kernel.
    size, large : int
        Of the two images.

    Returns
    -------
    Figure
    """
    taps = np.arange(1, kernel * kernel + 1, dtype=np.float32).reshape(kernel, kernel)
    small, big = (convolution_matrix(taps, (n, n)) for n in (size, large))
    figure, (left, right) = new_figure((12.5, 4.6), columns=2, width_ratios=[1.35, 1])
    colors = np.full(small.shape, "white", object)
    for (i, j), tap in np.ndenumerate(small):
        if tap:
            colors[i, j] = TINTS[(int(tap) - 1) // kernel]
    rows, columns = small.shape
    set_panel(left, columns, rows + 3)
    cells = small.astype(object)
    cells[small == 0] = None
    draw_cells(left, cells, (0, 1), colors=colors, text=lambda tap: f"$w_{{{int(tap)}}}$", size=9, edge=PALE)
    draw_words(left, (columns / 2, 0.3), f"{size}×{size} image: {rows} rows, {columns} columns")
    words = "colour: the row of the kernel; empty cells are 0"
    draw_words(left, (columns / 2, rows + 1.7), words, 9, GREY)
    shares = np.where(big == 0, np.nan, (big - 1) // kernel)
    right.imshow(np.ma.masked_invalid(shares), cmap="viridis", vmin=-0.4, vmax=kernel - 0.4, aspect="equal")
    right.set_xlabel("pixel of the image")
    right.set_ylabel("pixel of the result")
    filled = np.count_nonzero(big) / big.size
    right.set_title(f"{large}×{large} image: {big.shape[0]}×{big.shape[1]}, {filled:.1%} is not 0", fontsize=10)
    add_title(
        figure, f"Convolution {kernel}×{kernel} as a matrix (Toeplitz blocks): sparse, and its weights are shared"
    )
    return figure
