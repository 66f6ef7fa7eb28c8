"""Grids of numbered cells, windows on them and arrows between them: what pictures of arithmetic are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .style import FAINT, GREY, INK, PALE


def plain(value: Any) -> str:
    """A number as short text, with a true minus sign.

    >>> plain(-1.0), plain(0.25)
    ('−1', '0.25')
    """
    return f"{float(value):.3g}".replace("-", "\N{MINUS SIGN}")


def set_panel(ax: Any, width: float, height: float, title: str = "", margin: float = 0.3) -> None:
    """Turn a panel into a drawing board in units of cells, the first row at the top."""
    ax.set_xlim(-margin, width + margin)
    ax.set_ylim(height + margin, -margin)
    ax.set_aspect("equal")
    ax.axis("off")
    if title:
        ax.set_title(title)


def draw_cells(
    ax: Any,
    values: Any,
    at: tuple[float, float] = (0, 0),
    *,
    colors: Any = None,
    text: Callable[[Any], str] | None = plain,
    size: float = 10,
    edge: str = GREY,
) -> None:
    """A grid of numbers.

    Parameters
    ----------
    ax : Axes
    values : array_like, (rows, columns)
    at : (float, float)
        Column and row of its upper left corner.
    colors : str, or nested list of str
        Behind the numbers.
    text : callable, optional
        How a number is written; None leaves the cells empty.
    size : float
        Of the letters, in points.
    edge : str
        Color of the lines.
    """
    from matplotlib.patches import Rectangle

    values = np.asarray(values, dtype=object)
    colors = np.broadcast_to(np.asarray(FAINT if colors is None else colors, dtype=object), values.shape)
    for (i, j), value in np.ndenumerate(values):
        corner = (at[0] + j, at[1] + i)
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=colors[i, j], edgecolor=edge, lw=0.8))
        if text is not None and value is not None:
            ax.text(corner[0] + 0.5, corner[1] + 0.5, text(value), ha="center", va="center", fontsize=size)


def draw_border(ax: Any, at: tuple[float, float], size: tuple[float, float]) -> None:
    """The padded area around a grid: dashed cells with zeros."""
    columns, rows = round(size[0]), round(size[1])
    from matplotlib.patches import Rectangle

    for i in range(rows):
        for j in range(columns):
            corner = (at[0] + j, at[1] + i)
            ax.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor=PALE, linestyle="--", lw=0.8, zorder=0.5))
            ax.text(
                corner[0] + 0.5, corner[1] + 0.5, "0", ha="center", va="center", color="#9aa0a6", fontsize=8, zorder=0.6
            )


def draw_window(
    ax: Any, at: tuple[float, float], size: tuple[float, float], color: str = INK, style: str = "-", width: float = 2.4
) -> None:
    """A frame around some cells: its corner (column, row) and size (columns, rows)."""
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle(at, *size, facecolor="none", edgecolor=color, lw=width, linestyle=style, zorder=5, joinstyle="round")
    )


def draw_arrow(ax: Any, start: tuple[float, float], end: tuple[float, float], color: str = GREY) -> None:
    """An arrow in units of cells."""
    style = {"arrowstyle": "-|>", "color": color, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style, zorder=6)


def draw_words(
    ax: Any, at: tuple[float, float], words: str, size: float = 10, color: str = INK, **options: Any
) -> None:
    """Text in units of cells, centred unless said otherwise."""
    ax.text(*at, words, fontsize=size, color=color, **{"ha": "center", "va": "center"} | options)


def show_image(ax: Any, image: np.ndarray, title: str = "", **options: Any) -> Any:
    """An image without axes: grey by one range for the whole panel, or colours in [0, 1]."""
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=9)
    return ax.imshow(image, **options)
