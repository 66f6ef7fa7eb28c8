"""Matrix product with the bits of convolution: the same for any number of threads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import dispatch
from ..errors import InvalidArgument, shown
from ..spec import parse_flag
from ._arrays import NATIVE, Operands
from ._complex import by_parts, is_complex
from ._kernels import check_activation
from ._overriding import overridable


@overridable
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
    """Multiply matrices, or stacks of matrices, on the convolution's kernels: y = act(a @ b + bias).

    Parameters
    ----------
    a : array_like, (..., M, K), or (..., K, M) with `transpose_a`
        First factor; of one axis, (K,), it is a row, whose axis the result lacks.
    b : array_like, (..., K, N), or (..., N, K) with `transpose_b`
        Second factor; of one axis, (K,), it is a column, whose axis the result lacks. The axes before the matrices' are
        broadcast, as in ``np.matmul``.
    bias : array_like, (N,), optional
        Added to every row.
    transpose_a, transpose_b : bool
        Use the transposed matrices; nothing is copied for it.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"} or a function compiled with ``numba.njit``
        Applied to each element of the result.
    device : {None, "cpu", "cuda"}
        As for `conv2d`: None follows the arrays.
    out : ndarray, (..., M, N), optional
        Where to write y. If the call raises, what is in it is of no use.

    Returns
    -------
    y : ndarray, (..., M, N)
        In NumPy's promoted dtype; integers become float64. A device array if a and b are.

    Raises
    ------
    InvalidArgument
        The factors have no axes or do not fit.
    Unsupported
        Complex factors on CUDA.
    DeviceMissing
        There is no GPU for ``device="cuda"``.

    Notes
    -----
    Work: 2*M*N*K operations for each pair of matrices, and a few microseconds, for pairs are multiplied one by one, but
    a stack by one matrix at once; extra memory: a packed copy of a matrix of b, on CUDA none. The result has the same
    bits for any number of threads, which a BLAS does not promise. Error: below K*eps*(|a|@|b|). On CUDA `allow_tf32`
    holds for products too, and factors of 16 bits are multiplied as they are and summed in float32.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.matmul([[1.0, 2.0]], [[3.0], [4.0]])
    array([[11.]])
    >>> fc.matmul(np.ones((5, 1, 2, 3)), np.ones((4, 3, 2))).shape
    (5, 4, 2, 2)
    """
    transpose_a, transpose_b = parse_flag(transpose_a, "transpose_a"), parse_flag(transpose_b, "transpose_b")
    operands = Operands("a b bias", a, b, bias, device=device, halves=True)
    a, b, bias = operands.arrays
    if not a.ndim or not b.ndim:
        raise InvalidArgument(
            f"matmul needs factors with axes; a has shape {shown(tuple(a.shape))} and b {shown(tuple(b.shape))}: "
            "multiply by a number with *"
        )
    stack, (rows, depth), (inner, columns) = _sizes(tuple(a.shape), tuple(b.shape), transpose_a, transpose_b)
    if bias is not None and tuple(bias.shape) != (columns,):
        raise InvalidArgument(f"bias has shape {shown(tuple(bias.shape))}; expected ({columns},)")
    activation = check_activation(activation, operands.compute)
    shape = (rows, columns) if a.ndim == b.ndim == 2 else stack + (rows,) * (a.ndim > 1) + (columns,) * (b.ndim > 1)
    y = operands.output(shape, out)
    kernel = dispatch.operator("matmul", operands.device)

    def run(a: Any, b: Any, bias: Any, y: Any) -> None:
        kernel(a, b, bias, y, transpose_a=transpose_a, transpose_b=transpose_b, activation=activation)

    if a.ndim == b.ndim == 2:
        pairs: Iterable[tuple[Any, Any, Any]] = ((a, b, y),)
    else:
        a = a if a.ndim > 1 else a.reshape((depth, 1) if transpose_a else (1, depth))
        b = b if b.ndim > 1 else b.reshape((1, depth) if transpose_b else (depth, 1))
        pairs = _pairs(a, b, y.reshape((*stack, rows, columns)), transpose_a)
    for pair in pairs:
        if is_complex(operands):
            by_parts(run, pair[:2], pair[2], bias, activation)
        else:
            run(pair[0], pair[1], bias, pair[2])
    return operands.finish(y, out)


def gains_by_packing(rows: int, columns: int, dtype: np.dtype) -> bool:
    """Whether a second factor of so many columns is packed as a whole even for one product with so many rows.

    Examples
    --------
    >>> gains_by_packing(64, 512, np.dtype(np.float32)), gains_by_packing(4096, 512, np.dtype(np.float32))
    (False, True)
    """
    if dtype not in NATIVE:
        return True
    return not dispatch.row_of("matmul", "direct").load().is_thin(rows, columns, dtype.itemsize)


def _sizes(
    a: tuple[int, ...], b: tuple[int, ...], transpose_a: bool, transpose_b: bool
) -> tuple[tuple[int, ...], tuple[int, int], tuple[int, int]]:
    """The stack's shape, and the sizes of the matrices as they are multiplied: a vector is a row, or a column."""
    rows, depth = (1, *a) if len(a) == 1 else a[:-3:-1] if transpose_a else a[-2:]
    inner, columns = (*b, 1) if len(b) == 1 else b[:-3:-1] if transpose_b else b[-2:]
    if depth != inner:
        raise InvalidArgument(
            f"a has {depth} columns but b has {inner} rows (a: {a}, b: {b}, transpose_a={transpose_a}, "
            f"transpose_b={transpose_b}); they must be equal"
        )
    if len(a) < 3 and len(b) < 3:
        return (), (rows, depth), (inner, columns)
    try:
        stack = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise InvalidArgument(
            f"a {a} and b {b} are stacks of matrices whose leading axes do not fit: they must be equal, or 1"
        ) from None
    return stack, (rows, depth), (inner, columns)


def _pairs(a: Any, b: Any, y: Any, transpose_a: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Matrices to multiply and where their products belong."""
    if b.ndim == 2 and not transpose_a:  # one product: its rows are those of all matrices
        rows = math.prod(y.shape[:-1])
        yield a.reshape((rows, a.shape[-1])), b, y.reshape((rows, y.shape[-1]))
    elif y.size:
        stack = tuple(y.shape[:-2])
        steps = [_steps(tuple(v.shape[:-2]), stack) for v in (a, b, y)]
        for i, j, k in zip(*steps, strict=True):
            yield _matrix(a, i), _matrix(b, j), _matrix(y, k)


def _matrix(stack: Any, i: int) -> Any:
    """One matrix of a stack, on its memory."""
    shape = tuple(stack.shape[-2:])
    if isinstance(stack, np.ndarray):
        return stack.reshape(math.prod(stack.shape[:-2]), *shape)[i]
    from ..cuda import backend, halves

    size = math.prod(shape)
    if isinstance(stack, halves.Half):
        return halves.Half(backend.part(stack.bits, i * size, size).reshape(shape), stack.dtype)
    return backend.part(stack, i * size, size).reshape(shape)


def _steps(own: tuple[int, ...], stack: tuple[int, ...]) -> list[int]:
    """Which of its matrices a factor gives to each place of a stack."""
    places = np.arange(math.prod(own)).reshape(own)
    return np.broadcast_to(places, stack).ravel().tolist()
