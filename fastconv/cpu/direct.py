"""Direct convolution and both gradients: the micro-kernel reads every tap from a packed strip of the input.

Twin: ``fastconv/cuda/direct.py``.

Each operator writes its problem in the form that kernels know (`lowering`), chooses an engine for it, and runs that:

* `panels`, where the lanes of a vector are output channels: the usual one, and im2col's (`unfold`);
* `planar`, where those lanes would idle: lanes of pixels or of channels with a filter each;
* for the gradient to the weights `weight_grad` and `planar.weight_grad` likewise.

What depends on the problem alone is worked out once and kept; a call packs its weights and runs. The next hop of a
convolution is `panels.PanelEngine.run`.

Arrays of bfloat16 come as their bits, uint16, where `takes_halves`: pairs of input channels are multiplied at once and
summed in float32, or widened one by one in depthwise sweeps; results are rounded as they are stored (or left in float32
where y is).

Cost: 2*N*O*OD*OH*OW*C/groups*taps operations. Extra memory: the packed weights, and per thread a strip of about
``FASTCONV_TILE_BYTES``; the weight gradient's partial sums take at most ``FASTCONV_SCRATCH_BYTES`` (or one copy of dw).
Error: below terms*eps*sum(|x|*|w|), in practice about its square root.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..kept import kept
from ..problem import ConvProblem
from . import activation as activations
from .counts import ENGINE, RATES, pairs_serve, panels_work
from .folding import folding
from .lowering import Lowered, WeightStrides, lower_conv, lower_input_grad, weight_strides
from .magnitude import is_finite
from .nonfinite import sum_apart
from .panels import PanelEngine, panel_engine
from .planar.counts import planar_work
from .planar.engine import SINGLE, PlanarEngine, planar_engine, sweeps_halves
from .planar.weight_grad import planar_weights
from .stretches import Stretch, stretches
from .weight_grad import panel_weights
from .work import Work

__all__ = ["ENGINE", "RATES", "conv", "conv_input_grad", "conv_weight_grad", "prepare", "takes_halves", "work"]


def conv(
    problem: ConvProblem,
    x: np.ndarray,
    w: Any,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    activation: Any = None,
    unfold: bool = False,
) -> None:
    """Write the convolution of x with w (or what `prepare` made of it), plus b, through the activation, to y."""
    cut, at = _forward(problem, unfold)
    cut.run(x, w if problem.prepared else cut.pack(w, at), b, y, activation == "relu")
    if activation is not None and activation != "relu":
        activations.apply(y, activation)


def prepare(problem: ConvProblem, w: np.ndarray, *, unfold: bool = False) -> list[np.ndarray]:
    """The weights as the engines read them."""
    cut, at = _forward(problem, unfold)
    return cut.pack(w, at)


@folding
def conv_input_grad(
    problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray, *, unfold: bool = False
) -> None:
    """Write the gradient to the input to dx: per phase of the stride a convolution of dy with the taps that meet it."""
    phases, at, whole, fills = _backward(problem, unfold)
    if not whole:
        dx[...] = 0

    def run(dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
        for cut in phases:
            cut.run(dy, cut.pack(w, at), None, dx, False)

    if fills and problem.dtype != "bfloat16" and not is_finite(w):  # whose weights are finite, the caller has looked
        sum_apart(run, dy, w, dx)
    else:
        run(dy, w, dx)


def conv_weight_grad(
    problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, *, unfold: bool = False
) -> None:
    """Write the gradient to the weights to dw: stretches of it are added up."""
    parts, at = _weight_stretches(problem)
    for i, (low, x_start, y_start) in enumerate(parts):
        part = dw if i == 0 else np.empty_like(dw)
        given = x.reshape(-1)[x_start:], dy.reshape(-1)[y_start:], part, at
        planar = None if unfold else planar_weights(low, x.itemsize)
        if planar is None or not planar.run(*given):
            panel_weights(low, x.itemsize, unfold).run(*given)
        if i > 0:
            dw += part


def describe(problem: ConvProblem) -> str:
    """Which engine serves, in words."""
    if takes_halves(problem) and not _sweeps(problem):
        return "panels of pairs: lanes are output channels, two input channels of bfloat16 at once"
    if planar_work(_single(problem) if problem.dtype == "bfloat16" else problem):
        return "planar: lanes are pixels, or channels with a filter each"
    return "panels: lanes are output channels"


def takes_halves(problem: ConvProblem) -> bool:
    """Whether arrays of bfloat16 are multiplied as they are: where float32's lanes would be output channels too."""
    if problem.dtype != "bfloat16":
        return False
    return _sweeps(problem) or (pairs_serve(problem) and planar_work(_single(problem)) is None)


def _sweeps(problem: ConvProblem) -> bool:
    """Whether arrays of bfloat16 are read and written by depthwise sweeps."""
    if problem.op == "conv":
        return all(sweeps_halves(part.low) for part in stretches(lower_conv(problem)))
    if problem.op != "conv_input_grad" or problem.bordered or max(problem.stride) > 1:
        return False
    return all(sweeps_halves(part.low) for low in lower_input_grad(problem) for part in stretches(low))


def _single(problem: ConvProblem) -> ConvProblem:
    return replace(problem, dtype="float32")


def work(problem: ConvProblem) -> Work:
    """What a call has to do, for the cost model."""
    if takes_halves(problem):
        return planar_work(_single(problem)) or panels_work(problem, unfold=False)
    return planar_work(problem) or panels_work(problem, unfold=False)


class Part(NamedTuple):
    """A stretch of a problem: which engine and packed weights it takes, and where its x and y begin."""

    number: int
    x_start: int
    y_start: int


class Cut(NamedTuple):
    """A lowered problem in stretches; equal ones share an engine, and a form of the weights."""

    engines: tuple[PanelEngine | PlanarEngine, ...]
    parts: tuple[Part, ...]

    def pack(self, w: np.ndarray, at: WeightStrides) -> list[np.ndarray]:
        """The weights as each engine reads them."""
        return [engine.panels(w, at) for engine in self.engines]

    def run(self, x: np.ndarray, weights: list[np.ndarray], b: np.ndarray | None, y: np.ndarray, relu: bool) -> None:
        """Write the outputs of all parts to y."""
        x, y = x.reshape(-1), y.reshape(-1)
        for number, x_start, y_start in self.parts:
            self.engines[number].run(x[x_start:], weights[number], b, y[y_start:], relu)


@kept
def _forward(problem: ConvProblem, unfold: bool) -> tuple[Cut, WeightStrides]:
    """A convolution, lowered and cut, and where its weights lie."""
    return _cut(lower_conv(problem), problem.itemsize, unfold), weight_strides(problem)


@kept
def _backward(problem: ConvProblem, unfold: bool) -> tuple[tuple[Cut, ...], WeightStrides, bool, bool]:
    """The phases of a gradient to the input that some tap meets, and where the weights lie.

    Also whether these are all phases, and whether any reads zeros.
    """
    phases = lower_input_grad(problem)
    met = [low for low in phases if len(low.taps)]
    cuts = tuple(_cut(low, problem.itemsize, unfold) for low in met)
    at = weight_strides(problem, transposed=True)
    return cuts, at, len(met) == len(phases), any(low.fills for low in phases)


@kept
def _weight_stretches(problem: ConvProblem) -> tuple[tuple[Stretch, ...], WeightStrides]:
    """A gradient to the weights in stretches, to be added up, and where they lie."""
    return stretches(lower_conv(problem)), weight_strides(problem)


def _cut(whole: Lowered, itemsize: int, unfold: bool) -> Cut:
    """A problem in stretches, with an engine for each that differs."""
    found = stretches(whole)
    lows = {id(part.low): part.low for part in found}
    engines = [_engine(low, itemsize, unfold) for low in lows.values()]
    return Cut(tuple(engines), tuple(Part(list(lows).index(id(low)), *starts) for low, *starts in found))


def _engine(low: Lowered, itemsize: int, unfold: bool) -> PanelEngine | PlanarEngine:
    """What serves a stretch; of arrays of 16 bits, `panels` multiplies pairs and a depthwise sweep widens."""
    wide = max(SINGLE.itemsize, itemsize)
    planar = None if unfold or not (itemsize == wide or sweeps_halves(low)) else planar_engine(low, wide)
    return planar or panel_engine(low, itemsize, unfold)
