"""The lectures' curve detector: one kernel over the outlines of an image, and the windows it answers to."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import conv2d
from .edges import CURVE, outlines
from .figures import add_title, new_figure, styled
from .grids import draw_window, plain, show_image
from .style import GREEN, ORANGE


@styled
def draw_curve_detector(photograph: Any) -> Any:
    """The kernel, the windows of the outlines where its answer is largest and where it is small, and all answers.

    Parameters
    ----------
    photograph : array_like, (H, W)
        Grey, in [0, 1].

    Returns
    -------
    Figure
    """
    x = outlines(photograph)
    answers = conv2d(x[None, None], CURVE[None, None])[0, 0]
    best = np.unravel_index(int(answers.argmax()), answers.shape)
    bright = _box_sums(x, CURVE.shape)  # as much outline, but of another shape
    rows, columns = np.indices(answers.shape)
    apart = np.maximum(np.abs(rows - best[0]), np.abs(columns - best[1])) > 2 * CURVE.shape[0]
    alike = (np.abs(bright - bright[best]) < 0.25 * bright[best]) & apart
    other = np.unravel_index(int(np.where(alike, answers, np.inf).argmin()), answers.shape)
    figure, axes = new_figure((12, 3.6), 1, 5, width_ratios=[1, 1, 1, 1.5, 1.5])
    show_image(axes[0], CURVE, "kernel 7×7:\n30 along a curve, else 0", vmin=0, vmax=30)
    for ax, place, name in ((axes[1], best, "the largest answer"), (axes[2], other, "another shape")):
        i, j = place
        window = x[i : i + 7, j : j + 7]
        show_image(ax, window, f"{name}:\nsum of products {plain(answers[place])}", vmin=0, vmax=float(window.max()))
    show_image(axes[3], x, "outlines, and the two windows", vmin=0, vmax=1)
    for (i, j), color, style in ((best, ORANGE, "-"), (other, GREEN, "--")):
        draw_window(axes[3], (j - 0.5, i - 0.5), (7, 7), color, style, 1.8)
    show_image(axes[4], answers, "all answers", vmin=0, vmax=float(answers.max()))
    add_title(figure, "A curve detector")
    return figure


def _box_sums(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return conv2d(x[None, None], np.ones((1, 1, *size), np.float32))[0, 0]  # type: ignore[no-any-return]
