"""The three convolution operators on lowered problems; direct and im2col differ in how they sweep one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..borders import fold_border
from ..kept import kept
from ..problem import ConvProblem
from . import activation as activations
from .correlate import Sweep, sweep
from .lowering import Lowered, Strip, WeightStrides, lower_conv, lower_input_grad, strips, weight_strides
from .magnitude import is_finite
from .nonfinite import sum_apart
from .planar import sweep as planar
from .planar import weight_grad as planar_weights
from .weight_grad import accumulate_weights


def convolve(
    problem: ConvProblem,
    x: np.ndarray,
    w: Any,
    b: np.ndarray | None,
    y: np.ndarray,
    activation: Any,
    *,
    unfold: bool,
) -> None:
    """Write the convolution of x with w, or with what `prepare` made of it, plus b, through the activation, to y."""
    parts, at = _forward(problem, unfold)
    _run(parts, w if problem.prepared else _panels(parts, w, at), x, b, y, relu=activation == "relu")
    if activation is not None and activation != "relu":
        activations.apply(y, activation)


def prepare(problem: ConvProblem, w: np.ndarray, *, unfold: bool) -> list[np.ndarray]:
    """The weights as `convolve` needs them."""
    parts, at = _forward(problem, unfold)
    return _panels(parts, w, at)


class Part(NamedTuple):
    """A strip of a problem, its engine, and which panels it takes."""

    swept: Sweep | planar.PlanarSweep
    panels: int
    x_start: int
    y_start: int


@kept
def _forward(problem: ConvProblem, unfold: bool) -> tuple[tuple[Part, ...], WeightStrides]:
    """A convolution, lowered and cut, and where its weights lie."""
    return _parts(lower_conv(problem), problem.itemsize, unfold), weight_strides(problem)


def _parts(low: Lowered, itemsize: int, unfold: bool) -> tuple[Part, ...]:
    """The strips of a problem with their engines: equal strips have one, and one form of the weights."""
    engines: dict[int, tuple[int, Sweep | planar.PlanarSweep]] = {}
    found = []
    for strip in strips(low):
        if id(strip.low) not in engines:
            engines[id(strip.low)] = len(engines), _sweep(strip.low, itemsize, unfold)
        number, swept = engines[id(strip.low)]
        found.append(Part(swept, number, strip.x_start, strip.y_start))
    return tuple(found)


def _panels(parts: tuple[Part, ...], w: np.ndarray, at: WeightStrides) -> list[np.ndarray]:
    """The weights as each engine needs them."""
    return [swept.panels(w, at) for swept in {part.panels: part.swept for part in parts}.values()]


def _run(
    parts: tuple[Part, ...], panels: list[np.ndarray], x: np.ndarray, b: np.ndarray | None, y: np.ndarray, relu: bool
) -> None:
    for swept, number, x_start, y_start in parts:
        swept.run(x.reshape(-1)[x_start:], panels[number], b, y.reshape(-1)[y_start:], relu=relu)


def _sweep(low: Lowered, itemsize: int, unfold: bool) -> Sweep | planar.PlanarSweep:
    """The engine of a lowered problem: lanes of output channels, or planar where they would idle."""
    return (None if unfold else planar.plan(low, itemsize)) or sweep(low, itemsize, unfold)


def input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray, *, unfold: bool) -> None:
    """Write the gradient to the input to dx: per phase of the stride a convolution of dy with the taps that meet it."""
    if problem.bordered:
        inside = problem.inside()
        padded = np.empty(inside.x_shape3, dx.dtype)
        input_grad(inside, dy, w, padded, unfold=unfold)
        fold_border(padded, dx, problem.padding, problem.padding_mode, 1 if problem.channels_last else 2)
        return
    at = weight_strides(problem, transposed=True)
    phases, whole, fills = _backward(problem, unfold)
    if not whole:
        dx[...] = 0

    def run(dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
        for parts in phases:
            _run(parts, _panels(parts, w, at), dy, None, dx, relu=False)

    if fills and not is_finite(w):
        sum_apart(run, dy, w, dx)
    else:
        run(dy, w, dx)


@kept
def _backward(problem: ConvProblem, unfold: bool) -> tuple[tuple[tuple[Part, ...], ...], bool, bool]:
    """The phases of a gradient to the input that some tap meets; whether these are all; whether any reads zeros."""
    phases = lower_input_grad(problem)
    met = [low for low in phases if len(low.taps)]
    parts = tuple(_parts(low, problem.itemsize, unfold) for low in met)
    return parts, len(met) == len(phases), any(low.fills for low in phases)


def weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, *, unfold: bool) -> None:
    """Write the gradient to the weights to dw."""
    at = weight_strides(problem)
    for i, (low, x_start, y_start) in enumerate(_weight_strips(problem)):
        part = dw if i == 0 else np.empty_like(dw)
        given = x.reshape(-1)[x_start:], dy.reshape(-1)[y_start:], part, at
        cut = None if unfold else planar_weights.plan(low, x.itemsize)
        if cut is None or not planar_weights.accumulate_planar(cut, low, *given):
            accumulate_weights(low, *given, unfold=unfold)
        if i > 0:
            dw += part


@kept
def _weight_strips(problem: ConvProblem) -> tuple[Strip, ...]:
    """A gradient to the weights in strips, to be added up."""
    return strips(lower_conv(problem))
