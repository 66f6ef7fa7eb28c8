"""Matrix products on the convolution engine: a product is a convolution with one tap, its rows the pixels of one row.

Unlike a BLAS, the result has the same bits for any number of threads. Cost: 2*M*N*K operations; extra memory: the
packed second factor. Error: below K*eps*(|a|@|b|).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..borders import counting
from ..kept import kept
from ..memory import scratch
from ..simd.host import host
from . import activation as activations
from . import thin
from .halves import narrow, widen
from .lowering import ONE_TAP, Lowered, Strides, WeightStrides
from .panels import panel_engine
from .thin import is_thin

BITS, SINGLE = np.dtype(np.uint16), np.dtype(np.float32)


def matmul(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None,
    y: np.ndarray,
    *,
    transpose_a: bool,
    transpose_b: bool,
    activation: Any,
) -> None:
    """Write a @ b + bias (either factor transposed first) through the activation to y.

    Factors of bfloat16 are multiplied in pairs where the host does that; y is then of float32, or bfloat16 as its bits.
    """
    if a.dtype.name == "bfloat16":
        _of_halves(a, b, bias, y, transpose_a=transpose_a, transpose_b=transpose_b, activation=activation)
        return
    rows, columns = y.shape
    depth = a.shape[0] if transpose_a else a.shape[1]
    if depth == 0:
        y[...] = 0 if bias is None else bias
    elif y.size and not transpose_a and a.dtype != BITS and is_thin(rows, columns, a.itemsize):
        thin.multiply(a, b, bias, y, transpose_b=transpose_b, relu=activation == "relu")
    elif y.size:
        at = WeightStrides(0, 0, 1, depth) if transpose_b else WeightStrides(0, 0, columns, 1)
        engine = panel_engine(_lower(rows, columns, depth, transpose_a), a.itemsize, False)
        engine.run(a.reshape(-1), engine.panels(b, at), bias, y.reshape(-1), activation == "relu")
    if activation != "relu" or depth == 0:
        activations.apply(y, activation)


def _of_halves(a: np.ndarray, b: np.ndarray, bias: Any, y: np.ndarray, **options: Any) -> None:
    """`matmul` of bfloat16: sums are of float32 and are rounded once."""
    pairs = host().pairs and a.size > 0
    a, b = (v.view(BITS) if pairs else _widened(v) for v in (a, b))
    if pairs and options["activation"] in (None, "relu"):
        matmul(a, b, bias, y.view(BITS), **options)
        return
    sums = scratch(y.shape, SINGLE)
    matmul(a, b, bias, sums, **options)
    narrow(sums, y)


def _widened(a: np.ndarray) -> np.ndarray:
    single = scratch(a.shape, SINGLE)
    widen(a, single)
    return single


@kept
def _lower(rows: int, columns: int, depth: int, transposed: bool) -> Lowered:
    return Lowered(
        N=1,
        groups=1,
        C=depth,
        O=columns,
        out=(1, 1, rows),
        stride=(1, 1, 1),
        index=(counting(1), counting(1), counting(rows)),
        reach=(ONE_TAP, ONE_TAP, ONE_TAP),
        taps=np.zeros(1, np.int64),
        x_strides=Strides(0, rows, 0, 0, 1) if transposed else Strides(0, 1, 0, 0, depth),
        y_strides=Strides(0, 1, 0, rows * columns, columns),
    )
