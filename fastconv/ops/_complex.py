"""Complex operands by parts: a bilinear operation on complex arrays is four on their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InvalidArgument, Unsupported, shown
from ._arrays import Operands


def is_complex(operands: Operands) -> bool:
    """True where the computing dtype is complex."""
    if operands.compute.kind != "c":
        return False
    if operands.device == "cuda":
        raise Unsupported("complex arrays are not served on cuda; pass real and imaginary parts, or use the CPU")
    return True


def by_parts(
    run: Callable[..., None],
    factors: tuple[np.ndarray, np.ndarray],
    y: np.ndarray,
    b: Any = None,
    activation: Any = None,
) -> None:
    """Write the product of two complex factors to y with four calls of ``run(p, q, b, part_of_y)``.

    Four real products, not three: the three of Karatsuba's trick lose digits where parts differ in size.
    """
    if activation is not None:
        raise InvalidArgument(
            f"activation is {shown(activation)} but the arrays are complex; apply a function of your own to y"
        )
    (pr, pi), (qr, qi) = ((np.ascontiguousarray(f.real), np.ascontiguousarray(f.imag)) for f in factors)
    b = np.zeros(0) if b is None else b
    biases = (np.ascontiguousarray(b.real), np.ascontiguousarray(b.imag)) if b.size else (None, None)
    part, other = np.empty(y.shape, pr.dtype), np.empty(y.shape, pr.dtype)
    run(pr, qr, biases[0], part)
    run(pi, qi, None, other)
    y.real = part - other
    run(pr, qi, biases[1], part)
    run(pi, qr, None, other)
    y.imag = part + other
