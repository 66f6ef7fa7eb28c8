"""Padding, stride and dilation: where a kernel's windows lie, and how large the result is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..problem import Axis
from ..spec import conv_problem
from .figures import add_title, new_figure, styled
from .grids import draw_arrow, draw_border, draw_cells, draw_window, draw_words, set_panel
from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, TINTS

MOST = 24  # elements of an axis that can still be seen


def axis_of(size: int, kernel: int, stride: int = 1, padding: Any = 0, dilation: int = 1) -> Axis:
    """One axis of a convolution: its windows and the size of its result.

    >>> axis_of(28, 3, stride=2, padding="same").out
    14
    """
    for name, value in (("size", size), ("kernel", kernel)):
        if not isinstance(value, int) or not 1 <= value <= MOST + 4:
            raise InvalidArgument(f"{name} is {shown(value)}; expected a whole number from 1 to {MOST + 4}")
    if padding == "full":
        padding = dilation * (kernel - 1)
    problem = conv_problem(
        (1, 1, size, size), (1, 1, kernel, kernel), rank=2, stride=stride, padding=padding, dilation=dilation
    )
    return problem.axes[2]  # type: ignore[no-any-return]


def output_rule(axis: Axis) -> str:
    """The formula of the result's size with its numbers.

    >>> output_rule(axis_of(7, 3, stride=2))
    '⌊(7 + 0 − 1·(3 − 1) − 1) / 2⌋ + 1 = 3'
    """
    border = axis.before + axis.after
    return f"⌊({axis.size} + {border} − {axis.dilation}·({axis.kernel} − 1) − 1) / {axis.stride}⌋ + 1 = {axis.out}"


@styled
def draw_padding(size: int = 5, kernel: int = 3, stride: int = 1, dilation: int = 1) -> Any:
    """The three ways to treat the border, beside each other: "valid", "same" and "full".

    Parameters
    ----------
    size, kernel : int
        Of the image and the kernel, on both axes.
    stride, dilation : int

    Returns
    -------
    Figure
    """
    names = ("valid", "same", "full")
    axes = [axis_of(size, kernel, stride, name, dilation) for name in names]
    return _panels(axes, [f'"{name}": {_border(axis)}' for name, axis in zip(names, axes, strict=True)], "Padding")


@styled
def draw_stride(
    size: int = 7, kernel: int = 3, strides: Sequence[int] = (1, 2, 3), padding: Any = "valid", dilation: int = 1
) -> Any:
    """Windows that lie `stride` elements apart; the result shrinks by about that factor on each axis.

    Parameters
    ----------
    size, kernel : int
    strides : sequence of int
    padding : "valid", "same", "full" or int
    dilation : int

    Returns
    -------
    Figure
    """
    axes = [axis_of(size, kernel, s, padding, dilation) for s in strides]
    return _panels(axes, [f"stride {axis.stride}" for axis in axes], "Stride")


@styled
def draw_dilation(
    size: int = 7, kernel: int = 3, dilations: Sequence[int] = (1, 2, 3), padding: Any = "valid", stride: int = 1
) -> Any:
    """Taps that lie `dilation` elements apart: a wider view by the same number of weights.

    Parameters
    ----------
    size, kernel : int
    dilations : sequence of int
    padding : "valid", "same", "full" or int
    stride : int

    Returns
    -------
    Figure
    """
    axes = [axis_of(size, kernel, stride, padding, d) for d in dilations]
    titles = [f"dilation {axis.dilation}: {kernel}×{kernel} taps span {axis.extent}×{axis.extent}" for axis in axes]
    return _panels(axes, titles, "Dilation")


def _border(axis: Axis) -> str:
    if axis.before == axis.after:
        return f"{axis.before} on each side" if axis.before else "no border"
    return f"{axis.before} before, {axis.after} after"


def _panels(axes: Sequence[Axis], titles: Sequence[str], name: str) -> Any:
    """A panel for each axis (both axes of an image are alike): the padded image above, the result below."""
    across = max(max(axis.padded, axis.out) for axis in axes) + 0.8
    down = max(axis.padded for axis in axes) + max(axis.out for axis in axes) + 2.6
    scale = min(0.42, 11.5 / (across * len(axes)))
    figure, panels = new_figure((scale * across * len(axes) + 0.8, scale * down + 1.5), columns=len(axes))
    for ax, axis, title in zip(panels, axes, titles, strict=True):
        _draw_axis(ax, axis, across - 0.8, down)
        ax.set_title(title, fontsize=10)
    first = axes[0]
    add_title(figure, f"{name}: image {first.size}×{first.size}, kernel {first.kernel}×{first.kernel}")
    return figure


def _draw_axis(ax: Any, axis: Axis, across: float, down: float) -> None:
    set_panel(ax, across, down)
    left = (across - axis.padded) / 2
    draw_border(ax, (left, 0), (axis.padded, axis.padded))
    colors = np.full((axis.size, axis.size), TINTS[0], object)
    draw_cells(ax, np.full((axis.size,) * 2, None), (left + axis.before, axis.before), colors=colors)
    steps = [(0, ORANGE), (1, PURPLE)] if axis.out > 1 else [(0, ORANGE)]
    for step, color in steps:
        draw_window(
            ax, (left + step * axis.stride, 0), (axis.extent, axis.extent), color, "-" if step == 0 else "--", 2.2
        )
    for u, v in np.ndindex(axis.kernel, axis.kernel):
        ax.plot(left + v * axis.dilation + 0.5, u * axis.dilation + 0.5, "o", color=ORANGE, ms=4, zorder=6)
    top, start = axis.padded + 1.3, (across - axis.out) / 2
    draw_cells(ax, np.full((axis.out,) * 2, None), (start, top), colors=TINTS[2])
    for step, color in steps:
        draw_window(ax, (start + step, top), (1, 1), color, "-" if step == 0 else "--", 2.2)
    draw_arrow(ax, (across / 2, axis.padded + 0.25), (across / 2, top - 0.15), GREEN)
    draw_words(ax, (across / 2 + 0.4, axis.padded + 0.7), f"{axis.out}×{axis.out}", 10, BLUE, ha="left")
    draw_words(ax, (across / 2, top + axis.out + 0.8), output_rule(axis), 8.5, GREY)
