"""Which method "auto" takes, as a question of its own."""

from __future__ import annotations

from typing import Any

from .. import dispatch
from ..errors import InvalidArgument, shown
from ..problem import CONVOLUTIONS, ConvProblem
from ..spec import CONVOLVED, LAYOUTS, known_problem, parse_dtype, parse_shape, parse_word


def choose_method(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    op: str = "conv",
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    dtype: Any = "float32",
    device: str = "cpu",
) -> str:
    """The method that "auto" takes for ordinary data, without computing anything.

    For data that winograd or fft would spoil (NaN, Inf, mixed magnitudes; see `conv2d`) it takes "direct" instead.

    Parameters
    ----------
    x_shape, w_shape : tuple of int
        Shapes of the input and the weights, with three to five axes.
    op : {"conv", "conv_input_grad", "conv_weight_grad"}
        Which of the three operations.
    stride, padding, dilation, groups, layout, padding_mode
        As for `conv2d`.
    dtype : dtype
        Of the arrays: float32, float64 or bfloat16.
    device : {"cpu", "cuda"}

    Returns
    -------
    str
        One of the methods of `conv2d`.

    Raises
    ------
    InvalidArgument
        No method can serve such a problem, or an argument is wrong.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.choose_method((8, 64, 56, 56), (64, 64, 3, 3), padding=1)
    'winograd'
    >>> fc.choose_method((1, 1, 2048, 2048), (1, 1, 63, 63))
    'fft'
    """
    parse_word(device, "device", dispatch.DEVICES)
    problem = problem_of_shapes(
        op, x_shape, w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        padding_mode=padding_mode, dtype=dtype,
    )  # fmt: skip
    return dispatch.choose_method(problem, device)


def problem_of_shapes(
    op: Any, x_shape: Any, w_shape: Any, *, stride: Any, padding: Any, dilation: Any, groups: Any, layout: Any,
    padding_mode: Any, dtype: Any,
) -> ConvProblem:  # fmt: skip
    """The problem of a question about a convolution that is named by shapes: there are no arrays to look at."""
    parse_word(op, "op", CONVOLUTIONS)
    shapes = parse_shape(x_shape, "x"), parse_shape(w_shape, "w")
    rank = len(shapes[0]) - 2
    if rank not in LAYOUTS:
        raise InvalidArgument(f"x_shape is {shown(shapes[0])}; expected three to five axes")
    dtype = parse_dtype(dtype, CONVOLVED)
    return known_problem(op, *shapes, None, rank, stride, padding, dilation, groups, layout, padding_mode, dtype)
