"""Matrix product with the bits of convolution: the same for any number of threads."""

from __future__ import annotations

from typing import Any

from .. import dispatch
from ..errors import InvalidArgument, shown
from ..spec import parse_flag
from ._arrays import Operands
from ._complex import by_parts, is_complex
from ._kernels import check_activation


def matmul(
    a: Any,
    b: Any,
    bias: Any = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    activation: Any = None,
    device: str | None = None,
    out: Any = None,
) -> Any:
    """Multiply two matrices on the convolution's kernels: y = act(a @ b + bias).

    Parameters
    ----------
    a : array_like, (M, K), or (K, M) with `transpose_a`
        First factor.
    b : array_like, (K, N), or (N, K) with `transpose_b`
        Second factor.
    bias : array_like, (N,), optional
        Added to every row.
    transpose_a, transpose_b : bool
        Use the transposed factor; nothing is copied for it.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"} or a function compiled with ``numba.njit``
        Applied to each element of the result.
    device : {None, "cpu", "cuda"}
        As for `conv2d`: None follows the arrays.
    out : ndarray, (M, N), optional
        Where to write y. If the call raises, what is in it is of no use.

    Returns
    -------
    y : ndarray, (M, N)
        In NumPy's promoted dtype; integers become float64. A device array if a and b are.

    Raises
    ------
    InvalidArgument
        The factors are not matrices or do not fit.
    Unsupported
        Complex factors on CUDA.
    DeviceMissing
        There is no GPU for ``device="cuda"``.

    Notes
    -----
    Work: 2*M*N*K operations; extra memory: a packed copy of b, on CUDA none. The result has the same bits for any
    number of threads, which a BLAS does not promise. Error: below K*eps*(|a|@|b|). On CUDA `allow_tf32` holds for
    products too, and factors of 16 bits are multiplied as they are and summed in float32.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.matmul([[1.0, 2.0]], [[3.0], [4.0]])
    array([[11.]])
    """
    transpose_a, transpose_b = parse_flag(transpose_a, "transpose_a"), parse_flag(transpose_b, "transpose_b")
    operands = Operands("a b bias", a, b, bias, device=device, halves=True)
    a, b, bias = operands.arrays
    if a.ndim != 2 or b.ndim != 2:
        raise InvalidArgument(
            f"matmul needs two matrices; a has shape {shown(tuple(a.shape))} and b {shown(tuple(b.shape))}"
        )
    rows, depth = a.shape[::-1] if transpose_a else a.shape
    inner, columns = b.shape[::-1] if transpose_b else b.shape
    if depth != inner:
        raise InvalidArgument(
            f"a has {depth} columns but b has {inner} rows (a: {tuple(a.shape)}, b: {tuple(b.shape)}, "
            f"transpose_a={transpose_a}, transpose_b={transpose_b}); they must be equal"
        )
    if bias is not None and tuple(bias.shape) != (columns,):
        raise InvalidArgument(f"bias has shape {shown(tuple(bias.shape))}; expected ({columns},)")
    activation = check_activation(activation, operands.compute)
    y = operands.output((rows, columns), out)
    kernel = dispatch.operator("matmul", operands.device)

    def run(a: Any, b: Any, bias: Any, y: Any) -> None:
        kernel(a, b, bias, y, transpose_a=transpose_a, transpose_b=transpose_b, activation=activation)

    if is_complex(operands):
        by_parts(run, (a, b), y, bias, activation)
    else:
        run(a, b, bias, y)
    return operands.finish(y, out)
