"""Operands of 16 bits, and weights that are to be converted to them.

NumPy's functions add such numbers one by one and round each sum, and products of bfloat16 with a number become float32:
operations made of them compute in float32, and round results and gradients once. What the tape keeps has 16 bits again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..ops.halves import is_floating, is_half, rounded, widened
from ..within import Block, Within
from .tape import PRIMITIVES


class _Weights(Within):
    dtype: Any = None


_weights = _Weights()


def weights_as(dtype: Any) -> Block:
    """Let operations in this block take weights, tensors whose `autocast` is True, in this dtype; None: as they are."""
    return _weights.set(dtype=dtype)


def weights_dtype() -> Any:
    """What `weights_as` was given, in this thread."""
    return _weights.dtype


def as_weights(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of an operation, with weights among them in the dtype of `weights_as`."""
    dtype = _weights.dtype
    with weights_as(None):
        return tuple(
            PRIMITIVES["astype"](i, dtype=dtype) if getattr(i, "autocast", False) and i.dtype != dtype else i
            for i in inputs
        )


def in_float32(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward function whose operands of float16 or of bfloat16 are widened first; its VJP is a `from_float32`.

    Where operands have several floating dtypes, NumPy's rule says what is computed in, as for any others.
    """

    @wraps(forward)
    def widening(*inputs: Any, **options: Any) -> Any:
        half = _half_of(inputs)
        if half is None:
            y, saved = forward(*inputs, **options)
            return y, (*saved, None)
        wide = [widened(value) for value in inputs]
        y, saved = forward(*wide, **options)
        result = rounded(y, half)
        known = {id(w): value for w, value in zip(wide, inputs, strict=True)} | {id(y): result}
        return result, (*(_kept(value, half, known) for value in saved), half)

    return widening


def from_float32(vjp: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The VJP of a function that `in_float32` made: what it kept is widened, and gradients are rounded."""

    @wraps(vjp)
    def widening(dy: Any, needs: Any, *kept: Any) -> tuple[Any, ...]:
        *saved, half = kept
        if half is None:
            return vjp(dy, needs, *saved)
        return tuple(rounded(dx, half) for dx in vjp(widened(dy), needs, *map(_wide, saved)))

    return widening


def _half_of(values: tuple[Any, ...]) -> Any:
    """The 16-bit dtype that all floating operands have, which lie on the host; None where there is none."""
    found = None
    for value in values:
        dtype = getattr(value, "dtype", None)
        if dtype is None or not is_floating(dtype):
            continue
        if not is_half(dtype) or dtype != (found or dtype) or not isinstance(value, (np.ndarray, np.generic)):
            return None
        found = dtype
    return found


def _kept(value: Any, half: Any, known: dict[int, Any]) -> Any:
    """What the tape keeps: an operand or the result itself, anything else rounded."""
    if id(value) in known:
        return known[id(value)]
    return [_kept(item, half, known) for item in value] if isinstance(value, list) else rounded(value, half)


def _wide(value: Any) -> Any:
    return [_wide(item) for item in value] if isinstance(value, list) else widened(value)
