"""Cross-correlation, which deep learning calls convolution, against convolution, which flips its kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import signal
from ..ops import conv2d
from .figures import add_title, new_figure, styled
from .grids import draw_cells, draw_words, set_panel
from .style import GREY, ORANGE, TINTS

KERNEL = np.array([[1, 2, 3], [4, 0, 0], [5, 0, 0]], np.float32)
SIZE = 5


@styled
def draw_flip(kernel: Any = KERNEL, size: int = SIZE) -> Any:
    """What both make of a single bright pixel: convolution gives the kernel, cross-correlation the kernel turned round.

    Parameters
    ----------
    kernel : array_like, (KH, KW)
        Not symmetric, or there is nothing to see.
    size : int
        Of the image.

    Returns
    -------
    Figure
    """
    w = np.asarray(kernel, np.float32)
    x = np.zeros((size, size), np.float32)
    x[size // 2, size // 2] = 1
    correlated = conv2d(x[None, None], w[None, None], padding="same")[0, 0]
    convolved = signal.convolve2d(x, w, mode="same")
    panels = (
        (x, "image: one pixel is 1"),
        (w, f"kernel {w.shape[0]}×{w.shape[1]}"),
        (correlated, "cross-correlation\nfc.conv2d, keras, torch:\nthe kernel turned by 180°"),
        (convolved, "convolution\nscipy.signal.convolve2d,\nfc.signal.convolve2d: the kernel"),
    )
    figure, (ax,) = new_figure((11.5, 3.6))
    width = sum(values.shape[1] for values, _ in panels) + 3 * 2.4
    set_panel(ax, width, size + 2.6)
    left = 0.0
    for values, title in panels:
        colors = np.where(values != 0, TINTS[1], TINTS[0])
        top = 2.2 + (size - values.shape[0]) / 2
        draw_cells(ax, values, (left, top), colors=colors)
        draw_words(ax, (left + values.shape[1] / 2, top - 0.35), title, 9, va="bottom")
        left += values.shape[1] + 2.4
    draw_words(ax, (size + 1.2, 2.2 + size / 2), "∗", 18, ORANGE)
    words = "The two are the same for kernels that are symmetric, and a network learns either kernel as well."
    draw_words(ax, (width / 2, size + 2.75), words, 9, GREY)
    add_title(figure, "Cross-correlation and convolution")
    return figure
