"""The record of a problem: it is made once, by `fastconv.spec`, and travels whole from the call to the kernel.

Glossary (the same names everywhere in fastconv)
------------------------------------------------
``N``            images in the batch
``C`` ``O``      input and output channels; with ``groups`` = g each group maps C/g to O/g of them
``D H W``        input size, ``KD KH KW`` window or filter size, ``OD OH OW`` output size
``x w b y``      input, weights, bias, output; ``dx dw db dy`` their gradients
``n o i j``      loop over the output; ``c u v`` loop over what is summed

Every problem has three spatial axes (D, H, W): a 1-D problem has D = H = 1, a 2-D problem D = 1; ``rank`` tells how
many of them, from the right, the caller gave. What a kernel needs beside the record, such as tables, it makes from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .windows import Windows

Triple = tuple[int, int, int]
Pairs = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

CONVOLUTIONS = ("conv", "conv_input_grad", "conv_weight_grad")
POOLS = ("max_pool", "avg_pool", "lp_pool")
POOL_GRADIENTS = ("max_pool_grad", "avg_pool_grad", "lp_pool_grad")


class Axis(NamedTuple):
    """One axis of a convolution: output element i meets elements i*stride + u*dilation - before, u < kernel."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def extent(self) -> int:
        """Elements that one output's window spans."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        """Elements with the border."""
        return self.before + self.size + self.after


class _Spatial:
    """What is read from three axes alike, whatever they are axes of."""

    rank: int
    N: int
    C: int
    axes: tuple[Any, Any, Any]
    channels_last: bool
    dtype: str

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:  # computed once: a problem is the key of every cache that a call looks into
        return hash(tuple(getattr(self, field.name) for field in fields(self)))  # type: ignore[arg-type]

    @property
    def results(self) -> int:
        """Channels of y."""
        raise NotImplementedError

    def _each(self, name: str) -> Any:
        return tuple(getattr(axis, name) for axis in self.axes)

    @cached_property
    def size(self) -> Triple:
        """Input size (D, H, W)."""
        return self._each("size")  # type: ignore[no-any-return]

    @cached_property
    def out(self) -> Triple:
        """Output size (OD, OH, OW)."""
        return self._each("out")  # type: ignore[no-any-return]

    @cached_property
    def kernel(self) -> Triple:
        """Size (KD, KH, KW) of a filter, or of the largest window."""
        return self._each("kernel")  # type: ignore[no-any-return]

    @cached_property
    def stride(self) -> Triple:
        """Distance of outputs on each axis."""
        return self._each("stride")  # type: ignore[no-any-return]

    @cached_property
    def dilation(self) -> Triple:
        """Distance of taps on each axis."""
        return self._each("dilation")  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize  # which NumPy need not know

    @cached_property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of x as the caller has it."""
        return arrange(self.N, self.C, self.size[3 - self.rank :], self.channels_last)

    @cached_property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of y as the caller has it."""
        return arrange(self.N, self.results, self.out[3 - self.rank :], self.channels_last)

    @cached_property
    def x_shape3(self) -> tuple[int, ...]:
        """Shape of x with three spatial axes, as kernels have it."""
        return arrange(self.N, self.C, self.size, self.channels_last)

    @cached_property
    def y_shape3(self) -> tuple[int, ...]:
        """Shape of y with three spatial axes."""
        return arrange(self.N, self.results, self.out, self.channels_last)

    def _text(self, result: str, padding: Pairs) -> str:
        """A problem string but for what one kind of problem has alone; `result` names the channels of y."""
        names = "dhw"[3 - self.rank :]
        size = "".join(f"{a}{n}" for a, n in zip(names, self.size[3 - self.rank :], strict=True))
        before, after = zip(*padding, strict=True)
        text = f"n{self.N}c{self.C}{size}_{result}k{short(self.kernel, self.rank)}s{short(self.stride, self.rank)}"
        text += f"p{short(before, self.rank)}" + (f"-{short(after, self.rank)}" if after != before else "")
        return text + (f"d{short(self.dilation, self.rank)}" if self.dilation != (1, 1, 1) else "")


@dataclass(frozen=True)
class ConvProblem(_Spatial):
    """A convolution, or a gradient of one.

    y[n,o,i] = b[o] + sum over c,u of xp[n, c, i*stride + u*dilation] * w[o,c,u]

    `op` is "conv", "conv_input_grad" or "conv_weight_grad": which of y, dx and dw is wanted. `prepared` says that its
    weights are packed or transformed beforehand, as in a plan.
    """

    op: str
    rank: int
    N: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    groups: int
    axes: tuple[Axis, Axis, Axis]
    padding_mode: str
    channels_last: bool
    dtype: str
    prepared: bool = False

    __hash__ = _Spatial.__hash__

    @property
    def results(self) -> int:
        """Channels of y."""
        return self.O

    @cached_property
    def padding(self) -> Pairs:
        """Border before and after each axis."""
        first, second, third = ((axis.before, axis.after) for axis in self.axes)
        return first, second, third

    @cached_property
    def extent(self) -> Triple:
        """Input pixels that one output pixel's window spans, on each axis."""
        return self._each("extent")  # type: ignore[no-any-return]

    @cached_property
    def padded(self) -> Triple:
        """Input size with its border."""
        return self._each("padded")  # type: ignore[no-any-return]

    @property
    def taps(self) -> int:
        """Weights of one filter in one channel."""
        return math.prod(self.kernel)

    @property
    def inputs(self) -> int:
        """Input channels of a group."""
        return self.C // self.groups

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.O // self.groups

    @property
    def flops(self) -> int:
        """Multiplications and additions of the direct method."""
        return 2 * self.N * self.O * math.prod(self.out) * self.inputs * self.taps

    @cached_property
    def bordered(self) -> bool:
        """True where x has a border that is not of zeros: copies of its elements."""
        return self.padding_mode != "zeros" and any(axis.before or axis.after for axis in self.axes)

    @cached_property
    def w_shape(self) -> tuple[int, ...]:
        """Shape of w as the caller has it."""
        kernel = self.kernel[3 - self.rank :]
        return (*kernel, self.inputs, self.O) if self.channels_last else (self.O, self.inputs, *kernel)

    @cached_property
    def w_shape3(self) -> tuple[int, ...]:
        """Shape of w with three spatial axes."""
        return (*self.kernel, self.inputs, self.O) if self.channels_last else (self.O, self.inputs, *self.kernel)

    def inside(self) -> ConvProblem:
        """The same problem on x with its border: what the gradient to a bordered x is folded from."""
        first, second, third = (a._replace(size=a.padded, before=0, after=0) for a in self.axes)
        return replace(self, axes=(first, second, third), padding_mode="zeros")

    def __str__(self) -> str:
        """Problem string, such as ``n8c16h32w32_o32k3s1p1``: a name for tables and the command line."""
        text = self._text(f"o{self.O}", self.padding) + (f"g{self.groups}" if self.groups != 1 else "")
        return text + (f"_{self.padding_mode}" if self.padding_mode != "zeros" else "")


@dataclass(frozen=True)
class PoolProblem(_Spatial):
    """A pool, or a gradient of one: every window's real elements are reduced to one number, channel by channel.

    `axes` are rules that tell where the windows of each axis lie (`fastconv.windows`); `padding` is the border that
    the caller named.
    """

    op: str
    rank: int
    N: int
    C: int
    axes: Windows
    padding: Pairs
    channels_last: bool
    dtype: str

    __hash__ = _Spatial.__hash__

    @property
    def results(self) -> int:
        """Channels of y."""
        return self.C

    @property
    def flops(self) -> int:
        """Elements read."""
        return self.N * self.C * math.prod(self.out) * math.prod(self.kernel)

    def __str__(self) -> str:
        """Problem string, such as ``n8c64h112w112_k2s2p0``."""
        return self._text("", self.padding)


Problem = ConvProblem | PoolProblem


def arrange(N: int, C: int, size: Sequence[int], channels_last: bool) -> tuple[int, ...]:
    """An activation's shape in its layout."""
    return (N, *size, C) if channels_last else (N, C, *size)


def short(values: Sequence[int], rank: int) -> str:
    """One number where all axes agree, else joined by x."""
    values = values[3 - rank :]
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
