"""How the functions of `fastconv.ops` are cut: convolutions and pools, by the axes of their problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..borders import Border
from ..errors import InvalidArgument
from ..problem import ConvProblem, PoolProblem
from ..spec import conv_problem, pool_problem
from .operations import Operation, Outputs, rule
from .reach import CUT, Reach

RANKS = (1, 2, 3)
POOL_OPTIONS = ("stride", "padding", "dilation", "ceil_mode", "count_include_pad", "layout")


def _rank(function: Any) -> int:
    return int(function.__name__.rstrip("d")[-1])


@rule("ops", *(f"conv{rank}d" for rank in RANKS))
def conv(function: Any, x: Any, w: Any, b: Any = None, **options: Any) -> Operation:
    """Each block with its border, which is then no border any more."""
    rank, w = _rank(function), np.asarray(w)
    names = ("stride", "padding", "dilation", "groups", "layout", "padding_mode")
    given = {name: options[name] for name in names if name in options}
    problem = conv_problem(x.shape, w.shape, None if b is None else np.shape(b), rank=rank, **given)
    mode = problem.padding_mode
    spatial = [
        Reach(a.size, a.out, a.stride, a.before, a.extent, mode if a.before or a.after else CUT) for a in _axes(problem)
    ]
    rest = {**options, "padding": 0, "padding_mode": "zeros"}

    def compute(block: np.ndarray, outputs: Outputs, stretches: Sequence[Border]) -> Any:
        return function(block, w, b, **rest)

    return Operation(_arranged(problem, problem.results, spatial), compute)


@rule("ops", *(f"{name}_pool{rank}d" for name in ("max", "avg", "lp") for rank in RANKS))
def pool(function: Any, x: Any, size: Any, **options: Any) -> Operation:
    """Each block without its border, of which the call says how much there is."""
    if options.get("return_indices"):
        raise InvalidArgument("return_indices numbers elements of the whole image; pool block by block without it")
    rank = _rank(function)
    given = {name: options[name] for name in POOL_OPTIONS if name in options}
    if function.__name__.startswith("avg"):
        given.setdefault("count_include_pad", True)
    problem = pool_problem(x.shape, size, rank=rank, **given)
    axes = _axes(problem)
    spatial = [Reach(a.size, a.out, a.stride, -a.start, a.extent) for a in axes]
    overhangs = any(a.start + (a.out - 1) * a.stride + a.extent > a.high for a in axes)
    divided = overhangs and given.get("count_include_pad") and options.get("divisor") is None
    rest = {name: value for name, value in options.items() if name not in ("padding", "ceil_mode")}

    def compute(block: np.ndarray, outputs: Outputs, stretches: Sequence[Border]) -> Any:
        pairs, divisors = [], np.ones(1)
        for a, (first, last), stretch in zip(
            axes, _spatial(outputs, problem), _spatial(stretches, problem), strict=True
        ):
            start, end = a.start + first * a.stride, a.start + (last - 1) * a.stride + a.extent
            pairs.append((stretch.start - start, max(0, end - stretch.start - stretch.length)))
            divisors = np.multiply.outer(divisors, a.outputs(first, last)[0].table()[:, 2])
        if not divided:
            return function(block, size, **rest, padding=tuple(pairs))
        y = function(block, size, **rest, padding=tuple(pairs), divisor=1)  # what hangs over does not count
        return np.divide(y, divisors[0][..., None] if problem.channels_last else divisors[0], dtype=y.dtype)

    return Operation(_arranged(problem, problem.results, spatial), compute)


def _axes(problem: ConvProblem | PoolProblem) -> tuple[Any, ...]:
    """Those that the caller knows of."""
    return problem.axes[3 - problem.rank :]


def _arranged(problem: ConvProblem | PoolProblem, results: int, spatial: list[Reach]) -> tuple[Reach, ...]:
    """Batch, channels and the spatial axes in the order of the layout."""
    batch = Reach(problem.N, problem.N)
    mixed = isinstance(problem, ConvProblem)
    channels = Reach(problem.C, results, whole=mixed)
    return (batch, *spatial, channels) if problem.channels_last else (batch, channels, *spatial)


def _spatial(items: Sequence[Any], problem: PoolProblem) -> Sequence[Any]:
    return items[1:-1] if problem.channels_last else items[2:]
