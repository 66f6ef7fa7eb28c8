"""The operators of method "fft", and what they cost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ...config import settings
from ...kept import kept
from ...problem import ConvProblem
from ...threads import get_num_threads
from .. import activation as activations
from ..folding import folding
from ..work import Rate, Work
from .channels import BlockTiling, TiledChannels, tile_channels
from .planes import PlaneTiling, TiledPlanes, tile_planes
from .roles import Roles

STRIDED = 2  # times as long as counted: outputs of a stride are small tiles of their own, read and written apart

# Two threads of an AMD EPYC (Zen 4), November 2026.
ENGINE = "fft"
RATES = {
    "conv": Rate(0.0047, 0.0097, 8e-05, 0.008, 1200, 39000),
    "weight_grad": Rate(0.0063, 0.021, 0.0005, 0.012, 8200, 8900),
}


def conv(
    problem: ConvProblem, x: np.ndarray, w: Any, b: np.ndarray | None, y: np.ndarray, *, activation: Any = None
) -> None:
    """Write activation(conv(x, w) + b) to `y`; w is what `prepare` made of it where the problem is prepared."""
    if y.size == 0:
        return
    w, ready = (None, w) if problem.prepared else (w, None)
    tiled(problem, settings.scratch_bytes).convolve(x, w, ready, b, y)
    activations.apply(y, activation)


@folding
def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient of x to `dx`: dxp[n, c, i*stride + u*dilation] sums dy[n, o, i] * w[o, c, u], folded to x."""
    if dx.size == 0:
        return
    dx[...] = 0
    tiled(problem, settings.scratch_bytes).convolve(dy, w, None, None, dx)


def conv_weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the gradient of w to `dw`: dw[o, c, u] sums dy[n, o, i] * xp[n, c, i*stride + u*dilation]."""
    if dy.size == 0:
        dw[...] = 0
        return
    tiled(problem, settings.scratch_bytes).correlate(x, dy, dw)


def prepare(problem: ConvProblem, w: np.ndarray) -> list[np.ndarray]:
    """The spectra of the filters, for `conv` to use again and again."""
    return tiled(problem, settings.scratch_bytes).filter_spectra(w)


def describe(problem: ConvProblem) -> str:
    """Which kernels serve, in words."""
    chosen = tiling(problem.inside() if problem.op == "conv_input_grad" else problem, settings.scratch_bytes)
    lanes = "channels" if isinstance(chosen, BlockTiling) else "columns of planes"
    return f"tiles of {'x'.join(map(str, chosen.tile.lengths[3 - problem.rank :]))}, lanes are {lanes}"


def work(problem: ConvProblem) -> Work:
    """Count what an operation does, from its tiles; `extra` is for the threads in use."""
    problem = problem if problem.N else replace(problem, N=1)
    elements = problem.N * (problem.C * math.prod(problem.size) + problem.O * math.prod(problem.out))
    budget = settings.scratch_bytes
    counts = tiling(problem, budget).work(elements * problem.itemsize, budget, get_num_threads())
    if max(problem.stride) == 1 or problem.op == "conv_weight_grad":
        return counts
    tile, vector, cached, memory = (STRIDED * count for count in counts[:4])
    return Work(tile, vector, cached, memory, counts.regions, counts.extra)


@kept
def tiled(problem: ConvProblem, budget: int) -> TiledPlanes | TiledChannels:
    """A problem's tiles, ready for the kernels."""
    chosen = tiling(problem, budget)
    return TiledPlanes(chosen, budget) if isinstance(chosen, PlaneTiling) else TiledChannels(chosen, budget)


@kept
def tiling(problem: ConvProblem, budget: int) -> PlaneTiling | BlockTiling:
    """The cheaper of tiles of single channels and of blocks of channels, or what misses the budget least.

    It depends on the problem, the byte budget and the host's vectors, never on the number of threads.
    """
    roles = Roles(problem)
    channels = tile_channels(roles, budget) if roles.inner > 1 and roles.outer > 1 else None
    planes = tile_planes(roles, budget, math.inf if channels is None else channels.cost)
    if channels is None or (planes is not None and planes.rank(budget) < channels.rank(budget)):
        assert planes is not None
        return planes
    return channels
