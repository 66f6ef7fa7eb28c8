"""Convolution as an implicit GEMM, the fast way on CUDA for most problems (twin: cpu/im2col.py).

The matrix of windows is gathered tile by tile in shared memory (``gemm.gathered``, ``gemm.weights``). Extra memory:
packed weights; for the weight gradient copies of dw, below `settings.scratch_bytes`; for a border other than zeros a
padded copy of the image.
Error: below terms*eps*(|x|*|w|), terms = C/groups*KD*KH*KW (forward).
"""

from __future__ import annotations

from typing import Any

from ..precision import tf32_allowed
from ..problem import ConvProblem
from . import backend, border
from .filters import filters_of
from .gemm import cores, tensor
from .gemm.lowering import flattened
from .halves import Half, through_float32
from .launch import entry
from .pointwise import fill


@entry
def conv(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, *, activation: Any) -> None:
    """y = activation(b + conv(x, w)); x, w, y have three spatial axes; b and activation may be None."""
    if y.size == 0:
        return
    numbers = _numbers(p, y)
    if numbers is None and isinstance(y, Half):
        return through_float32(conv)(p, x, w, b, y, activation=activation)
    p, x = border.padded(p, x)
    _multiply(p, x, w, b, y, activation, numbers)


@entry
def conv_input_grad(p: ConvProblem, dy: Any, w: Any, dx: Any) -> None:
    """dx: the gathering GEMM on dy with input and output channels of w exchanged, once for each phase of the stride."""
    if dx.size == 0:
        return
    numbers = _numbers(p, dx)
    if numbers is None and isinstance(dx, Half):
        return through_float32(conv_input_grad)(p, dy, w, dx)
    inner, target = border.unfolded(p, dx)
    _multiply(inner, dy, w, None, target, None, numbers)
    border.fold(p, target, dx)


def _multiply(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, activation: Any, numbers: str | None) -> None:
    """The product of a problem, y from x or dx from dy, on tensor cores if they multiply some `numbers`."""
    f = filters_of(p).exchanged if p.op == "conv_input_grad" else filters_of(p)
    if numbers is None:
        cores.multiply(flattened(p), f, x, w, b, y, activation)
    else:
        tensor.multiply(flattened(p), f, x, w, b, y, activation, numbers)


@entry
def conv_weight_grad(p: ConvProblem, x: Any, dy: Any, dw: Any) -> None:
    """dw: the product of the gathered matrix's transpose with dy, in parts of the pixels that are added in order."""
    if dy.size == 0:
        fill(dw.bits if isinstance(dw, Half) else dw, 0)
        return
    numbers = _numbers(p, dw)
    if numbers is None and isinstance(dw, Half):
        return through_float32(conv_weight_grad)(p, x, dy, dw)
    p, x = border.padded(p, x)
    if numbers is None:
        cores.weight_grad(flattened(p), filters_of(p), x, dy, dw)
    else:
        tensor.weight_grad(flattened(p), filters_of(p), x, dy, dw, numbers)


def _numbers(p: ConvProblem, result: Any) -> str | None:
    """What tensor cores multiply for this call, or None; a weight gradient sums pixels, the others channels."""
    channels, outputs = (p.outputs, p.inputs) if p.op == "conv_input_grad" else (p.inputs, p.outputs)
    return tensor.choose_numbers(
        result.dtype.name, tf32_allowed(), backend.executor().capability(),
        None if p.op == "conv_weight_grad" else channels, outputs, p.padding_mode == "zeros",
    )  # fmt: skip
