"""Arrays on a GPU: the same parts of full convolutions, by the rows of the dispatch table for CUDA."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..errors import InvalidArgument, Unsupported
from ..foreign import is_device_array
from ..ops.devices import as_given
from ..spec import parse_word
from ._core import BACKWARDS, CONV, METHODS, MODES, MOST, one_holds_the_other, spans_of, way_of


def convolve_on_device(
    in1: Any, in2: Any, mode: Any, method: Any, conjugated: bool, edge: str = "zeros", late: bool = False
) -> Any:
    """The convolution along all axes, with in2 turned round if wanted, as the kind of array that in1 is."""
    mode, method = parse_word(mode, "mode", MODES), METHODS[parse_word(method, "method", tuple(METHODS))]
    x, w = _operands(in1, in2)
    if mode == "valid" and not one_holds_the_other(x.shape, w.shape):
        raise InvalidArgument(f'in1 has shape {x.shape} and in2 {w.shape}; for "valid" one must hold the other')
    turn, spans = (BACKWARDS,) * w.ndim, spans_of(mode, x.shape, w.shape, late)
    if conjugated:
        w = w[turn]
    if edge != "zeros" and mode != "valid":
        padding = tuple((k - 1 - s, s + m - n) for (s, m), n, k in zip(spans, x.shape, w.shape, strict=True))
        y = CONV[x.ndim](x[None, None], w[turn][None, None], padding=padding, padding_mode=edge, method=method)
    else:
        way = way_of(x.shape, w.shape, spans)
        if way.swapped:
            x, w = w, x
        images, taps = x[way.crop].reshape(way.image), w[turn].reshape(way.taps)
        y = CONV[x.ndim](images, taps, padding=way.padding, method=method)
    return as_given(y[0, 0], in1)


def _operands(in1: Any, in2: Any) -> tuple[Any, Any]:
    """Both as device arrays that can be indexed, where kernels serve them."""
    if not is_device_array(in1) or not is_device_array(in2):
        host = "in2" if is_device_array(in1) else "in1"
        raise InvalidArgument(f"host and device arrays are mixed: {host} must be on the CUDA device too")
    x, w = ops.to_device(in1), ops.to_device(in2)
    if x.ndim != w.ndim or not x.size or not w.size:
        raise InvalidArgument(f"in1 has shape {x.shape} and in2 {w.shape}; expected as many axes, and elements")
    if not 1 <= x.ndim <= MOST:
        raise Unsupported(f"in1 has {x.ndim} axes; on cuda arrays of one to {MOST} are served: move them to the host")
    if x.dtype.kind != "f" or w.dtype.kind != "f":
        raise Unsupported(f"in1 has dtype {x.dtype}, in2 {w.dtype}; on cuda real floating-point numbers are served")
    return x, w
