"""Dilated problems as ordinary ones, for Winograd's tiles: outputs a dilation apart share the inputs that they read."""

from __future__ import annotations

import itertools
from dataclasses import replace

from ...problem import ConvProblem
from ..lowering import Lowered, lower_conv, lower_input_grad


def lowered(problem: ConvProblem) -> list[Lowered]:
    """A problem as lowered ones, dilated as it is; elements of dx that no tap meets are in none."""
    if problem.op == "conv_input_grad":
        return [low for low in lower_input_grad(problem) if len(low.taps)]
    return [lower_conv(problem)]


def phases(problem: ConvProblem) -> tuple[Lowered, ...]:
    """A problem as lowered ones whose filters are not dilated."""
    _, height, width = problem.dilation
    return tuple(
        phase(low, i, j, height, width)
        for low in lowered(problem)
        for i, j in itertools.product(range(min(height, low.out[1])), range(min(width, low.out[2])))
    )


def phase(low: Lowered, i: int, j: int, height: int, width: int) -> Lowered:
    """Every `height`-th row of outputs from i on, every `width`-th column from j on."""
    (planes, rows, cols), (depth, *axes), y = low.index, low.reach, low.y_strides
    down, across = (axis._replace(step=1) for axis in axes)
    return replace(
        low,
        out=(low.out[0], -(-(low.out[1] - i) // height), -(-(low.out[2] - j) // width)),
        index=(planes, rows.every(i, height), cols.every(j, width)),
        reach=(depth, down, across),
        y_strides=y._replace(h=y.h * height, w=y.w * width),
        y_start=low.y_start + i * y.h + j * y.w,
    )
