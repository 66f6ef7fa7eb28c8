"""Forward convolution in one, two and three dimensions."""

from __future__ import annotations

from typing import Any

from ..spec import known_problem
from ._arrays import Operands, are_ready
from ._kernels import check_activation, compute, known
from ._ranks import ranked


@ranked("conv{}d")
def _conv(
    rank: int,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Any = None,
    method: str = "auto",
    device: str | None = None,
    out: Any = None,
) -> Any:
    r"""Slide each filter over a batch of images and sum the products (cross-correlation: filters are not flipped).

    y[n,o,i,j] = act(b[o] + sum over c,u,v of xp[n, c, i*SH + u*DH, j*SW + v*DW] * w[o,c,u,v])

    where xp is x with its border and, with `groups` = g, c runs over the C/g channels of o's group.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images. float32 and float64 stay what they are; float16 and bfloat16 are summed in float32 and rounded once;
        integers become float64; complex is computed by parts. Copied only if not C-contiguous. Masked arrays with a
        mask are refused.
    w : array_like, (O, C/groups, KH, KW), or (KH, KW, C/groups, O) with ``layout="NHWC"``
        Filters.
    b : array_like, (O,), optional
        Offset of each output channel.
    stride, dilation : int or (int, int)
        Distance of output pixels, and of filter taps, rows first.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Border, before and after each axis. "same" makes the output ceil(H/SH) high, the odd element behind (Keras).
    groups : int
        Blocks of channels that do not see each other; ``groups=C`` is depthwise.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    padding_mode : {"zeros", "edge", "reflect", "symmetric", "wrap"}
        What the border holds, in ``np.pad``'s words ("replicate" and "circular" mean "edge" and "wrap").
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"} or a function compiled with ``numba.njit``
        Applied to each output: of one real number, returning one. The slope of "leaky_relu" is 0.01. What a function
        raises is raised here (not from a GPU, which reports no exceptions).
    method : {"auto", "direct", "im2col", "winograd", "fft", "reference"}
        "auto" chooses by a model of the work, and takes direct for data that winograd and fft would spoil: NaN, Inf,
        numbers near the ends of the dtype's range, and mixed magnitudes (Notes). The others never fall back.
        "reference" are the plain loops of ``fastconv/cpu/reference.py``, to read and to compare with.
    device : {None, "cpu", "cuda"}
        None follows the arrays; "cuda" copies NumPy arrays to the GPU and back.
    out : ndarray, optional
        Where to write y: an array of NumPy of its exact shape and dtype. If the call raises, what is in it is of no
        use.

    Returns
    -------
    y : ndarray, (N, O, OH, OW), or (N, OH, OW, O) with ``layout="NHWC"``
        OH = (H + padding - DH*(KH-1) - 1)//SH + 1, OW alike; dtype by NumPy's promotion of x, w and b.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that no method can serve; the output would be empty.
    Unsupported
        The method named cannot serve this problem; the message says why and which can.
    DeviceMissing
        ``device="cuda"`` without a usable GPU.
    TooLarge
        y, or what is needed to compute it, does not fit into this machine's memory.

    Notes
    -----
    Work: 2*N*O*OH*OW*C/groups*KH*KW operations (direct, im2col); a quarter of that for 3x3 filters (winograd, with
    transforms); about log2(tile) a pixel and channel, and 8 for each pair of channels and frequency (fft). Extra
    memory: the weights in the method's own form, and per thread a strip of the input that stays in its cache (direct,
    im2col: about ``FASTCONV_TILE_BYTES``); winograd and fft keep to ``FASTCONV_SCRATCH_BYTES`` beside the weights.
    `explain` tells for one problem. The result has the same bits for any number of threads.
    Error against float64: below terms*eps*(|x|*|w|), terms = C/groups*KH*KW, in practice about its square root.
    bfloat16 is multiplied as it is by "direct" and "im2col" on CPUs with AVX512-BF16 or NEON's bf16, in half the time,
    and numbers below 2^-126 count as zero there; elsewhere it is converted to float32 and back, as float16 is. Its
    error has eps of float32, and the rounding of the result to 16 bits: 2^-8*|y| (float16: 2^-11*|y|).
    Winograd's is up to about twice that for data of one magnitude, but relative to the largest |x| of a tile of 6x6
    pixels; the FFT's is below eps*log2(tile)*||x||*||w||, norms over a tile: small numbers beside large ones lose
    digits. "auto" takes them only where no half of a window has all |x| below 2^-16 (float64: 2^-26) of the image's
    largest (Winograd's tiles may see several images: of the batch's); halves of zeros do not count. So fill values
    (1e20, 1e12 among 80s) leave the windows beside them alone.
    NaN and Inf in x reach exactly the outputs whose window holds them, by "direct", "im2col" and "auto". Those in w
    reach all outputs of their channel, but perhaps not where they meet a border of zeros alone: such sums may be left
    out.
    Sizes: Dumoulin & Visin, arXiv:1603.07285.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> w = np.array([[[[1.0, 0.0], [0.0, -1.0]]]])
    >>> fc.conv2d(x, w, stride=2)
    array([[[[-5., -5.],
             [-5., -5.]]]])

    >>> fc.conv1d([[[1.0, 2.0, 4.0, 8.0]]], [[[1.0, -1.0]]])
    array([[[-1., -2., -4.]]])

    >>> fc.conv3d(np.ones((1, 1, 2, 3, 3)), np.ones((1, 1, 2, 2, 2)))
    array([[[[[8., 8.],
              [8., 8.]]]]])
    """
    if device is None and out is None and are_ready((x, w) if b is None else (x, w, b)):
        options = stride, padding, dilation, groups, layout, padding_mode, activation, method
        call = known("conv", rank, x.shape, w.shape, None if b is None else b.shape, x.dtype, options)
        y = call.empty()
        call.run(x, w, b, y)
        return y
    operands = Operands("x w b", x, w, b, device=device, halves=True)
    x, w, b = operands.arrays
    b_shape = None if b is None else b.shape
    problem = known_problem(
        "conv", x.shape, w.shape, b_shape, rank, stride, padding, dilation, groups, layout, padding_mode,
        operands.given,
    )  # fmt: skip
    activation = check_activation(activation, operands.compute)
    y = operands.output(problem.y_shape, out)
    compute(problem, method, operands, x, w, b, y, activation)
    return operands.finish(y, out)


conv1d, conv2d, conv3d = _conv
