"""Every CUDA row of the dispatch table by fastconv's public functions: what to call, and what the oracle says.

A row's problem is computed on whatever executor ``fastconv.cuda.backend`` has, in any dtype that fastconv serves:
numbers go in and come out as they do for a user. Arrays are channels-first on both sides, whatever the layout.
"""

from typing import NamedTuple

import cuda_problems as problems
import naive
import numpy as np

import fastconv as fc
from fastconv import dispatch
from fastconv.spec import conv_problem


class Row(NamedTuple):
    """One operation by one method."""

    op: str
    method: str
    row: dispatch.Row


ROWS = [
    Row(op, row.method, row) for op in (*problems.CONVOLUTIONS, *problems.POOLS) for row in dispatch.rows(op, "cuda")
]
#: float32 that may be rounded to TF32 counts as a dtype of its own.
FLOATS = ("float32", "float64", "float16", "bfloat16", "tf32")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


def id_of(row):
    return f"{row.op}-{row.method}"


def dtypes_of(row):
    """What a row must serve."""
    if row.op in problems.CONVOLUTIONS:
        return FLOATS
    return FLOATS[:4] + (INTEGERS if row.op == "max_pool" else ())


def dtype_of(name):
    """NumPy's dtype."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype("float32" if name == "tf32" else name)


def serves(row, case):
    """True if the row serves a problem; pools serve all."""
    if row.op not in problems.CONVOLUTIONS:
        return case.out is None  # adaptive pooling has functions of its own, and windows like any other
    return row.row.reason(conv_problem(case.x_shape, case.w_shape, rank=case.rank, op=row.op, **case.options)) is None


def shapes(row, case):
    """Of the arrays that the row's function takes."""
    if row.op in problems.CONVOLUTIONS:
        x, w, y = case.x_shape, case.w_shape, case.y_shape
        return {"conv": (x, w, w[:1]), "conv_input_grad": (y, w), "conv_weight_grad": (x, y)}[row.op]
    spec = case.spec(False)
    x, y = case.x_shape, (spec.N, spec.C, *spec.out[3 - spec.rank :])
    return {"max_pool_grad": (y, y), "avg_pool_grad": (y,), "lp_pool_grad": (y, x, y)}.get(row.op, (x,))


def whole_numbers(row, case, unsigned=False):
    """(arguments, the oracle's result): whole numbers but for norms."""
    if row.op in problems.CONVOLUTIONS:
        arrays = problems.draw(case.name, *shapes(row, case))
        third = {"conv_input_grad": (case.size,), "conv_weight_grad": (case.kernel,)}.get(row.op, ())
        return arrays, getattr(naive, row.op)(*arrays, *third, **case.plain)
    spec, op = case.spec(False), row.op.removesuffix("_grad")
    x, dy = problems.draw(case.name, case.x_shape, (spec.N, spec.C, *spec.out))
    x = problems.lifted(abs(x) if unsigned else x, spec.rank)
    windows, step = problems.windows_of(case.spec(False, count_include_pad=True)), spec.dilation
    y, indices = problems.reference(op, x, windows, step, 2.0, None)
    result = y if op == row.op else problems.gradient(row.op, x, y, indices, dy, windows, step, 2.0, None)
    arrays = {"max_pool_grad": (dy, indices), "avg_pool_grad": (dy,), "lp_pool_grad": (dy, x, y)}.get(row.op, (x,))
    return [a.reshape(shape) for a, shape in zip(arrays, shapes(row, case), strict=True)], result


def run(row, case, channels_last, dtype, arrays):
    """The row's result in `dtype`."""
    gradient, convolution = row.op.endswith("_grad"), row.op in problems.CONVOLUTIONS
    rank = len(case.x_shape) - 2
    stem = row.op.removesuffix("_input_grad").removesuffix("_weight_grad").removesuffix("_grad")
    function = getattr(fc, row.op.replace(stem, f"{stem}{rank}d", 1))
    turned = [_arranged(a, channels_last, convolution and n == 1 and row.op != "conv_weight_grad", dtype)
              for n, a in enumerate(arrays)]  # fmt: skip
    options = {**case.options, "layout": LAYOUTS[rank][channels_last], "device": "cuda"}
    if convolution:
        options["method"] = row.method
        if gradient:
            turned.append(_shape(case, row.op == "conv_weight_grad", channels_last))
    else:
        if gradient and row.op != "lp_pool_grad":
            turned.append(_shape(case, False, channels_last))
        if row.op == "max_pool_grad":  # the indices say all there is to know
            options = {name: options[name] for name in ("layout", "device")}
        else:
            turned.append(case.size)
    with fc.allow_tf32(dtype == "tf32"):
        result = function(*turned, **options)
    if not channels_last:
        return result
    return naive.weights_to_first(result) if row.op == "conv_weight_grad" else naive.to_first(result)


def _arranged(a, channels_last, weights, dtype):
    """An argument in the caller's layout and dtype; indices stay int64."""
    if channels_last and a.ndim > 1:
        a = naive.weights_to_last(a) if weights else naive.to_last(a)
    return a if a.dtype == np.int64 else np.ascontiguousarray(a, dtype_of(dtype))


def _shape(case, weights, channels_last):
    shape = case.w_shape if weights else case.x_shape
    if not channels_last:
        return shape
    return (*shape[2:], shape[1], shape[0]) if weights else (shape[0], *shape[2:], shape[1])
