"""Convolution as an implicit GEMM, the fast way on CUDA for most problems (twin: cpu/im2col.py).

The matrix of windows is gathered tile by tile in shared memory (``gemm.gathered``, ``gemm.weights``). Extra memory:
packed weights; for the weight gradient copies of dw, below `settings.scratch_bytes`; for a border other than zeros a
padded copy of the image.
Error: below terms*eps*(|x|*|w|), terms = C/groups*KD*KH*KW (forward).
"""

from __future__ import annotations

from typing import Any

from ..precision import tf32_allowed
from . import backend, border
from .filters import Filters, filters_of
from .gemm import cores, lowering, tensor
from .gemm.lowering import Problem, Window
from .halves import Half, through_float32
from .indexing import Triple, kernel_of, split
from .launch import entry
from .pointwise import fill


@entry
def conv(
    x: Any, w: Any, b: Any, y: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool, activation: Any,
) -> None:  # fmt: skip
    """y = activation(b + conv(x, w)); x, w, y have three spatial axes; b and activation may be None."""
    if y.size == 0:
        return
    filters = filters_of(w.shape, groups, channels_last)
    numbers = _numbers(y, filters, padding_mode)
    if numbers is None and isinstance(y, Half):
        options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": padding_mode}
        return through_float32(conv)(
            x, w, b, y, **options, groups=groups, channels_last=channels_last, activation=activation
        )
    x, before = border.padded(x, padding, padding_mode, channels_last)
    window = Window(kernel_of(w.shape, channels_last), stride, dilation, before)
    problem = _problem(x, y, window, groups, channels_last).flattened()
    if numbers is not None:
        return tensor.multiply(lowering.forward, problem, x, w, b, y, filters, activation, numbers)
    cores.multiply(lowering.forward, problem, x, w, b, y, filters, activation)


@entry
def conv_input_grad(
    dy: Any, w: Any, dx: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dx: the gathering GEMM on dy with input and output channels of w exchanged, once for each phase of the stride."""
    if dx.size == 0:
        return
    f = filters_of(w.shape, groups, channels_last)
    exchanged = Filters(f.taps, f.outputs, f.channels, f.group, f.tap, f.o, f.c)
    numbers = _numbers(dx, exchanged, padding_mode)
    if numbers is None and isinstance(dx, Half):
        options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": padding_mode}
        return through_float32(conv_input_grad)(dy, w, dx, **options, groups=groups, channels_last=channels_last)
    target, before = border.unfolded(dx, padding, padding_mode, channels_last)
    window = Window(kernel_of(w.shape, channels_last), stride, dilation, before)
    problem = _problem(target, dy, window, groups, channels_last).flattened()
    if numbers is not None:
        tensor.multiply(lowering.backward, problem, dy, w, None, target, exchanged, None, numbers)
    else:
        cores.multiply(lowering.backward, problem, dy, w, None, target, exchanged, None)
    border.fold(target, dx, padding, padding_mode, channels_last)


@entry
def conv_weight_grad(
    x: Any, dy: Any, dw: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dw: the product of the gathered matrix's transpose with dy, in parts of the pixels that are added in order."""
    if dy.size == 0:
        fill(dw.bits if isinstance(dw, Half) else dw, 0)
        return
    filters = filters_of(dw.shape, groups, channels_last)
    numbers = _numbers(dw, filters, padding_mode, summed=False)
    if numbers is None and isinstance(dw, Half):
        options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": padding_mode}
        return through_float32(conv_weight_grad)(x, dy, dw, **options, groups=groups, channels_last=channels_last)
    x, before = border.padded(x, padding, padding_mode, channels_last)
    window = Window(kernel_of(dw.shape, channels_last), stride, dilation, before)
    p = _problem(x, dy, window, groups, channels_last).flattened()
    if numbers is not None:
        return tensor.weight_grad(p, x, dy, dw, filters, numbers)
    cores.weight_grad(p, x, dy, dw, filters)


def _numbers(result: Any, filters: Filters, padding_mode: str, summed: bool = True) -> str | None:
    """What tensor cores multiply for this call, or None; `summed`: over the filters' channels."""
    channels = filters.channels if summed else None
    return tensor.choose_numbers(
        result.dtype.name, tf32_allowed(), backend.executor().capability(), channels, filters.outputs,
        padding_mode == "zeros",
    )  # fmt: skip


def _problem(x: Any, y: Any, window: Window, groups: int, channels_last: bool) -> Problem:
    N, C, size = split(x.shape, channels_last)
    _, outputs, out = split(y.shape, channels_last)
    return Problem(N, C, size, outputs, out, window, groups, channels_last)
