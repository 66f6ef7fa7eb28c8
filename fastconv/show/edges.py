"""Kernels drawn by hand and what they answer to: edges, a blur, a sharper image, a curve."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import conv2d
from .figures import add_title, new_figure, styled
from .grids import plain, show_image
from .style import GREY, LIGHT

CURVE = np.array(
    [
        [0, 0, 0, 0, 0, 30, 0],
        [0, 0, 0, 0, 30, 0, 0],
        [0, 0, 0, 30, 0, 0, 0],
        [0, 0, 0, 30, 0, 0, 0],
        [0, 0, 0, 30, 0, 0, 0],
        [0, 0, 0, 30, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    np.float32,
)
SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
KERNELS: dict[str, np.ndarray] = {
    "Sobel-X": SOBEL_X,
    "Sobel-Y": np.ascontiguousarray(SOBEL_X.T),
    "Laplacian": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32),
    "blur": np.full((7, 7), 1 / 49, np.float32),
}
SIGNED = {"Sobel-X": "upright edges", "Sobel-Y": "level edges", "Laplacian": "edges of all directions"}
PLAIN = {"sharpen": "the image and its edges", "blur": "the mean of 7×7 pixels"}


def response(image: Any, kernel: Any) -> np.ndarray:
    """What a kernel answers at each pixel of a grey image; beyond the border lies the nearest pixel."""
    x, w = np.asarray(image, np.float32), np.asarray(kernel, np.float32)
    pad = tuple(((n - 1) // 2, n // 2) for n in w.shape)
    return conv2d(x[None, None], w[None, None], padding=pad, padding_mode="edge")[0, 0]  # type: ignore[no-any-return]


def outlines(image: Any) -> np.ndarray:
    """The size of the gradient by Sobel's kernels, its largest 1."""
    size = np.hypot(response(image, KERNELS["Sobel-X"]), response(image, KERNELS["Sobel-Y"]))
    return size / max(float(size.max()), 1e-12)  # type: ignore[no-any-return]


@styled
def draw_edges(photograph: Any) -> Any:
    """A photograph through kernels that people drew: Sobel's, Laplace's, sharpening, blur.

    Parameters
    ----------
    photograph : array_like, (H, W)
        Grey, in [0, 1].

    Returns
    -------
    Figure
    """
    x = np.asarray(photograph, np.float32)
    shape = min(1.6, max(0.6, x.shape[0] / x.shape[1]))
    figure, axes = new_figure((12, 6.0 * shape + 1.0), 2, 4)
    show_image(axes[0], x, f"the image, {x.shape[0]}×{x.shape[1]}", vmin=0, vmax=1)
    answers = {name: response(x, kernel) for name, kernel in KERNELS.items()}
    for ax, name in zip((axes[1], axes[2], axes[4]), SIGNED, strict=True):
        top = float(np.percentile(np.abs(answers[name]), 99.5)) or 1.0
        show_image(ax, answers[name], f"{name}: {SIGNED[name]}", vmin=-top, vmax=top)
        _inset(ax, KERNELS[name])
    show_image(axes[3], outlines(x), "both Sobels: length of the gradient", vmin=0, vmax=1)
    for ax, name in zip(axes[5:7], PLAIN, strict=True):
        show_image(ax, answers[name], f"{name}: {PLAIN[name]}", vmin=0, vmax=1)
        _inset(ax, KERNELS[name])
    found = response(outlines(x), CURVE / 30)
    show_image(axes[7], found, "curve detector on the outlines", vmin=0, vmax=float(found.max()) or 1.0)
    _inset(axes[7], CURVE)
    words = "Sobel and Laplace: grey is 0, black the most negative answer, white the most positive one."
    figure.supxlabel(words, fontsize=9, color=GREY)
    add_title(figure, "Kernels drawn by hand")
    return figure


def _inset(ax: Any, kernel: np.ndarray) -> None:
    """The kernel, small, in the corner of its panel."""
    box = ax.inset_axes((0.68, 0.01, 0.31, 0.31))
    largest = float(np.abs(kernel).max())
    box.imshow(kernel, cmap=LIGHT, vmin=-largest, vmax=largest)
    box.set_xticks([])
    box.set_yticks([])
    box.spines[:].set_visible(True)
    if kernel.min() == largest:  # all alike
        box.text(3, 3, f"1/{kernel.size}", ha="center", va="center", fontsize=8, color="black")
    elif kernel.size <= 9:
        for (i, j), value in np.ndenumerate(kernel):
            color = "black" if value > 0 else "white"
            box.text(j, i, plain(value), ha="center", va="center", fontsize=8, color=color)
