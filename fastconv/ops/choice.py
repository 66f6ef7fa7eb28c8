"""Which method "auto" takes, as a question of its own."""

from __future__ import annotations

from typing import Any

from .. import dispatch
from ..errors import InvalidArgument
from ..spec import conv_spec


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
        Of the computation: float32 or float64.
    device : {"cpu", "cuda"}

    Returns
    -------
    str
        One of the methods of `conv2d`.

    Raises
    ------
    InvalidArgument
        No method can serve such a problem.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.choose_method((8, 64, 56, 56), (64, 64, 3, 3), padding=1)
    'winograd'
    >>> fc.choose_method((1, 1, 2048, 2048), (1, 1, 63, 63))
    'fft'
    """
    if op not in ("conv", "conv_input_grad", "conv_weight_grad"):
        raise InvalidArgument(f"op is {op!r}; expected 'conv', 'conv_input_grad' or 'conv_weight_grad'")
    if len(x_shape) not in (3, 4, 5):
        raise InvalidArgument(f"x_shape is {tuple(x_shape)}; expected three to five axes")
    spec = conv_spec(
        x_shape, w_shape, rank=len(x_shape) - 2, stride=stride, padding=padding, dilation=dilation, groups=groups,
        layout=layout, padding_mode=padding_mode, dtype=dtype,
    )  # fmt: skip
    return dispatch.choose_method(op, spec, device)
