"""Transposed convolution: the gradient of a convolution to its input, as an operation of its own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..spec import is_plain, transposed_problem
from ._arrays import Operands
from ._kernels import check_activation, compute
from ._ranks import ranked

_remembered = lru_cache(maxsize=1024)(transposed_problem)


@ranked("conv_transpose{}d")
def _transposed(
    rank: int,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    activation: Any = None,
    method: str = "auto",
    device: str | None = None,
    out: Any = None,
) -> Any:
    """Transposed convolution of images: spread each element over a window of weights, and add up where windows meet.

    y[n,o,h,k] = act(b[o] + sum over c and all u,v,i,j with i*SH + u*DH - PH = h and j*SW + v*DW - PW = k
                        of x[n,c,i,j] * w[c,o,u,v])

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images.
    w : array_like, (C, O/groups, KH, KW), or (KH, KW, O/groups, C) with ``layout="NHWC"``
        Filters, as those of the convolution that this one transposes.
    b : array_like, (O,), optional
        Offset of each output channel.
    stride, dilation : int or (int, int)
        Distance at which pixels are spread, and of filter taps.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Border cut off the result, before and after each axis; "same" makes it H*SH high.
    output_padding : int or (int, int)
        Rows and columns added behind; below max(stride, dilation).
    groups, layout, activation, method, device, out
        As for `conv2d`.

    Returns
    -------
    y : ndarray, (N, O, OH, OW), or (N, OH, OW, O) with ``layout="NHWC"``
        OH = (H-1)*SH + DH*(KH-1) + 1 - padding + output_padding, OW alike.

    Raises
    ------
    InvalidArgument
        As for `conv2d`, or `output_padding` is too large.
    Unsupported
        The method named cannot serve this problem.

    Notes
    -----
    Work: 2*N*C*H*W*O/groups*KH*KW operations: no zeros are multiplied, each phase of the stride is a convolution with
    the taps that meet it (Dumoulin & Visin, arXiv:1603.07285, section 4). Error bound as for `conv2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 2)), stride=2)
    array([[[[1., 1., 2., 2.]]]])

    >>> fc.conv_transpose1d([[[1.0, 2.0]]], [[[1.0, 10.0, 100.0]]])
    array([[[  1.,  12., 120., 200.]]])

    >>> fc.conv_transpose3d(np.ones((1, 1, 1, 1, 1)), np.ones((1, 2, 2, 2, 2))).shape
    (1, 2, 2, 2, 2)
    """
    operands = Operands("x w b", x, w, b, device=device)
    x, w, b = operands.arrays
    plain = is_plain((stride, padding, output_padding, dilation, groups, layout))
    parse = _remembered if plain else transposed_problem
    problem = parse(
        x.shape, w.shape, None if b is None else b.shape, rank=rank, stride=stride, padding=padding,
        output_padding=output_padding, dilation=dilation, groups=groups, layout=layout, dtype=operands.compute,
    )  # fmt: skip
    activation = check_activation(activation, operands.compute)
    y = operands.output(problem.x_shape, out)
    compute(problem, method, operands, x, w, b, y, activation)
    return operands.finish(y, out)


conv_transpose1d, conv_transpose2d, conv_transpose3d = _transposed
