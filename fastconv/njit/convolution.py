"""Convolutions, for compiled code to call."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import overload

from ..cpu.activation import BUILTIN
from ..ops._kernels import ACTIVATIONS
from ..ops._ranks import ranked
from ..spec import LAYOUTS, PADDING_MODES
from ._alone import alone
from ._arguments import Arguments, constant, is_none
from ._calls import applied, axes, dense, pairs, served
from ._requests import Request


@ranked("conv{}d")
def _conv(
    rank: int,
    x: Any,
    w: Any,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Any = None,
) -> Any:
    """Slide each filter over a batch of images and sum the products, in compiled code (filters are not flipped).

    y[n,o,i,j] = act(b[o] + sum over c,u,v of xp[n, c, i*SH + u*DH, j*SW + v*DW] * w[o,c,u,v])

    as `fastconv.conv2d`, with its methods ("auto") and its bits, on the calling thread alone.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images, float32 or float64; all arrays have one dtype. Copied if not C-contiguous.
    w : array_like, (O, C/groups, KH, KW), or (KH, KW, C/groups, O) with ``layout="NHWC"``
        Filters.
    b : array_like, (O,), optional
        Offset of each output channel.
    stride, dilation : int or (int, int)
        Distance of output pixels, and of filter taps.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Border, before and after each axis.
    groups : int
        Blocks of channels that do not see each other.
    layout, padding_mode : constants
        As for `fastconv.conv2d`.
    activation : None, "relu", "leaky_relu", "sigmoid", "tanh", or a function compiled with ``numba.njit``
        Applied to each output; a constant.

    Returns
    -------
    y : ndarray, (N, O, OH, OW), or (N, OH, OW, O) with ``layout="NHWC"``

    Raises
    ------
    InvalidArgument
        Shapes or values that make no convolution; where Numba cannot say so in time, when the call is compiled, it is a
        ``numba.TypingError``: wrong types, numbers of axes, or words.

    Notes
    -----
    The first call for a problem plans it in Python, which takes the GIL for about a millisecond. Later calls run in
    compiled code without it, unless "auto" has taken a transform (winograd, fft), looks at the data for gradients of
    weights, or the arrays take more than 32 MiB: then 10 to 20 microseconds of each call have the GIL.

    Examples
    --------
    >>> import numba, numpy as np, fastconv as fc
    >>> @numba.njit
    ... def edges(x):
    ...     w = np.array([[[[1.0, -1.0]]]])
    ...     return fc.njit.conv2d(x, w, activation="relu").sum()
    >>> edges(np.array([[[[1.0, 4.0, 2.0], [0.0, 0.0, -3.0]]]]))
    5.0

    >>> fc.njit.conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[1.0, -1.0]]]))
    array([[[-1., -2.]]])

    >>> fc.njit.conv3d(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2)))
    array([[[[[8.]]]]])
    """
    return alone(
        f"conv{rank}d", x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        padding_mode=padding_mode, activation=activation,
    )  # fmt: skip


conv1d, conv2d, conv3d = _conv


def _compiled(function: Any, rank: int) -> None:
    """How Numba compiles a call of a convolution."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        x, w, b=None, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros", activation=None
    ):
        given = Arguments(function.__name__, x=x, w=w, **({} if is_none(b) else {"b": b}))
        request = request_of_types("conv", given, rank, stride, padding, dilation, groups, layout, padding_mode)
        given.axes(rank + 2, x=x, w=w)
        if not is_none(b):
            given.axes(1, b=b)
        word, dense_x, dense_w, dense_b = _activation(given, activation), dense(x), dense(w), dense(b)
        code = request._replace(relu=word == "relu").code

        def plain(  # type: ignore[no-untyped-def]
            x, w, b=None, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros", activation=None
        ):
            numbers = code, axes(stride, x), axes(dilation, x), pairs(padding, x), groups
            return served(dense_x(x), dense_w(w), dense_b(b), numbers)

        def by_user(  # type: ignore[no-untyped-def]
            x, w, b=None, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros", activation=None
        ):
            numbers = code, axes(stride, x), axes(dilation, x), pairs(padding, x), groups
            return applied(served(dense_x(x), dense_w(w), dense_b(b), numbers), activation)

        if word is None or word == "relu":
            return plain
        if word is USERS:
            return by_user
        known = BUILTIN[word]

        def by_name(  # type: ignore[no-untyped-def]
            x, w, b=None, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros", activation=None
        ):
            numbers = code, axes(stride, x), axes(dilation, x), pairs(padding, x), groups
            return applied(served(dense_x(x), dense_w(w), dense_b(b), numbers), known)

        return by_name


USERS = object()


def _activation(given: Arguments, kind: Any) -> Any:
    """None, a known name, or `USERS` for a function."""
    if isinstance(kind, types.Dispatcher):
        return USERS
    value = constant(kind)
    if value is not None and (not isinstance(value, str) or value not in ACTIVATIONS):
        expected = f"None, {', '.join(map(repr, ACTIVATIONS))} or a function compiled with numba.njit"
        raise given.wrong("activation", kind, expected)
    return value


def request_of_types(
    op: str, given: Arguments, rank: int, stride: Any, padding: Any, dilation: Any, groups: Any, layout: Any,
    padding_mode: Any,
) -> Request:  # fmt: skip
    """What the types of a convolution's arguments tell."""
    given.each("stride", stride, rank)
    given.each("dilation", dilation, rank)
    given.whole("groups", groups)
    last = given.word("layout", layout, (None, *LAYOUTS[rank])) == LAYOUTS[rank][1]
    mode = PADDING_MODES[given.word("padding_mode", padding_mode, tuple(PADDING_MODES))]
    return Request(op, rank, given.dtype, last, mode, given.border(padding, rank))


for _rank in (1, 2, 3):
    _compiled(_conv[_rank - 1], _rank)
