"""Convolution by Fourier transforms in tiles: overlap-save."""

from __future__ import annotations

from typing import Any

import numpy as np

from .figures import add_title, new_figure, styled
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE

COLORS = (BLUE, ORANGE, GREEN, PURPLE)


def overlap_save(x: np.ndarray, w: np.ndarray, tile: int) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Convolution without border, from tiles, and what each tile gives: (place of its first sample, samples).

    The first ``len(w) - 1`` samples of a tile are wrong, for the transform's convolution goes round in a circle.
    """
    lost, parts = len(w) - 1, []
    spectrum = np.fft.rfft(w, tile)
    for start in range(0, len(x) - lost, tile - lost):
        piece = np.zeros(tile)
        there = x[start : start + tile]
        piece[: len(there)] = there
        parts.append((start, np.fft.irfft(np.fft.rfft(piece) * spectrum, tile)))
    return np.concatenate([part[lost:] for _, part in parts])[: len(x) - lost], parts


@styled
def draw_fft(length: int = 120, taps: int = 17, tile: int = 48) -> Any:
    """A signal, the circular convolution of each of its tiles with what is thrown away, and the pieces joined.

    Parameters
    ----------
    length, taps, tile : int
        Samples of the signal, of the filter, and of a transform.

    Returns
    -------
    Figure
    """
    t = np.arange(length)
    x = np.sign(np.sin(2 * np.pi * t / 37)) + 0.25 * np.random.default_rng(1).standard_normal(length)
    w = np.hanning(taps + 2)[1:-1]
    w /= w.sum()
    y, parts = overlap_save(x, w, tile)
    lost = taps - 1
    figure, axes = new_figure((10.5, 6.2), 3)
    axes[0].plot(t, x, color=GREY, lw=1.2)
    for number, (start, _) in enumerate(parts):
        color = COLORS[number % len(COLORS)]
        axes[0].plot([start, min(length, start + tile) - 1], [1.9 + 0.25 * (number % 2)] * 2, color=color, lw=3)
    axes[0].set_title(f"a signal of {length} samples; tiles of {tile} that overlap by {taps} − 1 = {lost}", fontsize=10)
    for number, (start, part) in enumerate(parts):
        color, at = COLORS[number % len(COLORS)], start + np.arange(tile)
        shown = at < length
        axes[1].plot(at[:lost], part[:lost], color=color, lw=1, ls=":")
        axes[1].plot(at[lost:][shown[lost:]], part[lost:][shown[lost:]], color=color, lw=1.8)
    words = f"each tile times the filter's spectrum: the first {lost} samples wrap round (dotted)"
    axes[1].set_title(words, fontsize=10)
    axes[2].plot(t[lost:], y, color=BLUE, lw=2)
    error = float(np.abs(y - np.convolve(x, w, "valid")).max())
    axes[2].set_title(f"the rest, joined: the convolution (largest difference from the sum: {error:.0e})", fontsize=10)
    for ax in axes:
        ax.set_xlim(-1, length)
        ax.grid(axis="x")
    axes[2].set_xlabel("sample")
    add_title(figure, "Fast Fourier transforms in tiles (overlap-save)")
    return figure
