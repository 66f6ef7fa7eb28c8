"""Method "fft": convolution and its gradients by tiled Fourier transforms (overlap-save).

Input and filters are cut into tiles and transformed; frequency by frequency the channels are multiplied and summed; of
each tile transformed back, the positions that no wrapped-around tap has reached are the result:

    Y[t, f, o] = sum over c of X[t, f, c] * conj(W[f, c, o])          conv, and conv_input_grad with flipped taps
    DW[f, c, o] = sum over t of X[t, f, c] * conj(DY[t, f, o])        conv_weight_grad

Stride and dilation become phases (`fft_phases`), so nothing is computed only to be thrown away.

Cost: about 2.5 log2(T) flops per real point, channel and direction, and 8 flops per frequency and pair of channels.
Extra memory: at most ``settings.scratch_bytes`` (see `fft_plan`), as long as one tile of one channel fits.
Error: each number is off by at most about eps * log2(T) * ||x|| * ||w||, norms over its tile and its filter: small
results beside large ones in the same tile lose digits, and one NaN or Inf spoils its whole tile. Typically the error
relative to the largest result is below eps * log2(T), T the points of a tile.
The same bits come out for any number of threads.

Source: Vasilache et al., "Fast Convolutional Nets With fbfft" (2015); Oppenheim & Schafer, "Discrete-Time Signal
Processing", section 8.7.3 (overlap-save).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..borders import border_index
from ..config import settings
from ..threads import get_num_threads, team, threads
from . import activation as activations
from .fft_filters import Filters, taps_of
from .fft_lattice import Axis, Batch, Lattice, lattice
from .fft_phases import Phases, phases
from .fft_plan import Chunk, Plan, Size, cost, make_plan, spectrum_shape
from .fft_product import accumulate, multiply
from .fft_tiles import ADD, WRITE, WRITE_BIAS, gather, scatter
from .fft_transform import signals, spectra
from .work import Work

Triple = tuple[int, int, int]
Pairs = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Pairs,
    padding_mode: str,
    groups: int,
    channels_last: bool,
    activation: str | Callable[..., Any] | None,
) -> None:
    """Write activation(conv(x, w) + b) to `y`."""
    if y.size == 0:
        return
    taps = taps_of(w, groups, channels_last)
    kernel, inner, outer = _triple(taps.shape[:3]), *taps.shape[4:]
    parts, out = phases(kernel, stride, dilation), _spatial(y, channels_last)
    size = Size(len(x), out, parts.extent, groups, inner, outer, parts.count, 1, x.itemsize)
    plan = make_plan(size, settings.scratch_bytes)
    axes = _padded(_spatial(x, channels_last), padding, padding_mode, parts, stride)
    source = lattice(x, groups, axes, _reach(plan), channels_last)
    target = lattice(y, groups, [_shifted(n, 0) for n in out], _reach(plan), channels_last)
    _correlate(source, Filters(taps, parts, plan.tile), target, plan, b)
    activations.apply(y, activation)


def conv_input_grad(
    dy: np.ndarray,
    w: np.ndarray,
    dx: np.ndarray,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Pairs,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient of x to `dx`: dxp[n, c, i*stride + u*dilation] sums dy[n, o, i] * w[o, c, u], folded to x."""
    if dx.size == 0:
        return
    taps = taps_of(w, groups, channels_last)
    kernel, inner, outer = _triple(taps.shape[:3]), *taps.shape[4:]
    parts = phases(kernel, stride, dilation, flip=True)
    axes = _padded(_spatial(dx, channels_last), padding, padding_mode, parts, stride)
    once, first = True, [0, 0, 0]
    if padding_mode == "zeros":  # positions that hold only border need not be computed
        first = [min(p[0] // s, e - 1) for p, s, e in zip(padding, stride, parts.extent, strict=True)]
        axes = [
            Axis(a.left[f * a.step :], a.n, a.right[:0], a.phases, a.step) for a, f in zip(axes, first, strict=True)
        ]
    elif any(map(any, padding)):
        once = False
    out = _triple(-(-(len(a.left) + a.n + len(a.right)) // a.step) for a in axes)
    size = Size(len(dy), out, parts.extent, groups, outer, inner, 1, parts.count, dy.itemsize)
    plan = make_plan(size, settings.scratch_bytes)
    shifts = zip(_spatial(dy, channels_last), parts.extent, first, strict=True)
    source = lattice(dy, groups, [_shifted(n, e - 1 - f) for n, e, f in shifts], _reach(plan), channels_last)
    target = lattice(dx, groups, axes, _reach(plan), channels_last, once)
    if not once or parts.count < math.prod(stride):
        dx[...] = 0
    _correlate(source, Filters(taps, parts, plan.tile, swapped=True), target, plan, None)


def conv_weight_grad(
    x: np.ndarray,
    dy: np.ndarray,
    dw: np.ndarray,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Pairs,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient of w to `dw`: dw[o, c, u] sums dy[n, o, i] * xp[n, c, i*stride + u*dilation]."""
    if dy.size == 0:
        dw[...] = 0
        return
    taps = taps_of(dw, groups, channels_last)
    kernel, inner, outer = _triple(taps.shape[:3]), *taps.shape[4:]
    parts, out = phases(kernel, stride, dilation), _spatial(dy, channels_last)
    size = Size(len(x), out, parts.extent, groups, inner, outer, parts.count, 1, x.itemsize, gradient=True)
    plan = make_plan(size, settings.scratch_bytes)
    axes = _padded(_spatial(x, channels_last), padding, padding_mode, parts, stride)
    source = lattice(x, groups, axes, _reach(plan), channels_last)
    target = lattice(dy, groups, [_shifted(n, 0) for n in out], _reach(plan), channels_last)
    filters = Filters(taps, parts, plan.tile)
    for chunk in plan.chunks():
        filters.read(chunk, _summed(source, target, plan, chunk, math.prod(filters.shape(chunk)[4:])))


def _correlate(source: Lattice, filters: Filters, target: Lattice, plan: Plan, b: np.ndarray | None) -> None:
    """Write to the target, or add where it holds elements twice, the correlation of the source with the filters."""
    bias = np.empty(0, source.array.dtype) if b is None else b
    for chunk in plan.chunks():
        how = ADD if chunk.source or not target.once else WRITE if b is None else WRITE_BIAS
        _correlate_chunk(source, filters.make(chunk, source.array.dtype), target, plan, chunk, how, bias)


# Nothing but its result outlives the following functions: the plan's bound counts on it.


def _correlate_chunk(
    source: Lattice, filters: np.ndarray, target: Lattice, plan: Plan, chunk: Chunk, how: int, bias: np.ndarray
) -> None:
    w = spectra(filters, plan.tile)
    del filters

    def work(pair: tuple[Batch, Batch]) -> None:
        scatter(target, pair[1], _correlated(source, pair[0], w, plan), how, bias)

    _share(work, list(_batches(plan, chunk)), plan, plan.abreast if target.once else 1)


def _correlated(source: Lattice, inputs: Batch, w: np.ndarray, plan: Plan) -> np.ndarray:
    """One batch of output tiles."""
    y = multiply(spectra(gather(source, inputs, plan.tile, plan.tile), plan.tile), w, inputs.groups)
    return signals(y, plan.tile, plan.pitch)


def _summed(source: Lattice, target: Lattice, plan: Plan, chunk: Chunk, width: int) -> np.ndarray:
    """The weight gradient of a chunk, in a fixed number of partial sums over runs of batches."""
    dtype = np.result_type(source.array.dtype, np.complex64)
    totals = np.empty((plan.parts, *spectrum_shape(plan.tile), width), dtype)
    batches = list(_batches(plan, chunk))

    def work(part: int) -> None:
        run = batches[len(batches) * part // plan.parts : len(batches) * (part + 1) // plan.parts]
        for inputs, outputs in run:
            _add_batch(source, inputs, target, outputs, plan, totals[part], inputs is run[0][0])

    _share(work, list(range(plan.parts)), plan, plan.abreast)
    for part in totals[1:]:
        totals[0] += part
    return signals(totals[:1], plan.tile, plan.size.extent)


def _add_batch(
    source: Lattice, inputs: Batch, target: Lattice, outputs: Batch, plan: Plan, total: np.ndarray, first: bool
) -> None:
    a = spectra(gather(source, inputs, plan.tile, plan.tile), plan.tile)
    b = spectra(gather(target, outputs, plan.tile, plan.pitch), plan.tile)
    accumulate(a, b, total, inputs.groups, first)


def _share(work: Callable[[Any], None], items: list[Any], plan: Plan, abreast: int) -> None:
    """Do the work on every item: several at once, each on one thread, where that keeps the threads busy.

    Otherwise one after the other, each stage on all threads. Short-lived threads of our own run whole batches without a
    barrier between stages, and without kernels' and transforms' pools waiting for each other's idle threads.
    """
    members = min(team(len(items), int(plan.cost)), abreast)
    if members < 2 or 2 * members < get_num_threads():
        for item in items:
            work(item)
        return

    def alone(item: Any) -> None:
        with threads(1):
            work(item)

    with ThreadPoolExecutor(members) as pool:
        list(pool.map(alone, items))


def _batches(plan: Plan, chunk: Chunk) -> Iterator[tuple[Batch, Batch]]:
    """Source and target of each batch of tiles."""
    for first in range(0, plan.tiles, plan.batch):
        tiles = (first, min(plan.batch, plan.tiles - first), plan.counts, plan.pitch, chunk.group, chunk.groups)
        yield Batch(*tiles, chunk.source, chunk.sources), Batch(*tiles, chunk.target, chunk.targets)


def _spatial(x: np.ndarray, channels_last: bool) -> Triple:
    return _triple(x.shape[1:4] if channels_last else x.shape[2:])


def _reach(plan: Plan) -> Triple:
    """Positions that the tiles cover along each axis."""
    return _triple((n - 1) * v + t for n, v, t in zip(plan.counts, plan.pitch, plan.tile, strict=True))


def _shifted(n: int, zeros: int) -> Axis:
    """An axis of `n` elements after some zeros."""
    return Axis(np.full(zeros, -1, dtype=np.int64), n, np.empty(0, dtype=np.int64))


def _padded(size: Triple, padding: Pairs, mode: str, parts: Phases, stride: Triple) -> list[Axis]:
    """The axes of x with its border."""
    axes = []
    for a, (n, (before, after)) in enumerate(zip(size, padding, strict=True)):
        if mode == "zeros":
            left, right = np.full(before, -1, dtype=np.int64), np.full(after, -1, dtype=np.int64)
        else:
            index = border_index(n, before, after, mode)
            left, right = index[:before], index[before + n :]
        axes.append(Axis(left, n, right, parts.offsets(a), stride[a]))
    return axes


def _triple(values: Iterable[int]) -> Triple:
    a, b, c = values
    return a, b, c


def work(
    op: str, N: int, C: int, O: int, size: Triple, out: Triple, kernel: Triple, *, stride: Triple, dilation: Triple,
    groups: int, itemsize: int, channels_last: bool, prepared: bool,
) -> Work:  # fmt: skip
    """What a call has to do, for the cost model."""
    ns = cost(
        op, N, C, O, size, out, kernel, stride=stride, dilation=dilation, groups=groups, itemsize=itemsize,
        budget=settings.scratch_bytes,
    )  # fmt: skip
    return Work(0.0, 50 * ns / (itemsize / 4), 0.0, 0.0, 1, settings.scratch_bytes)
