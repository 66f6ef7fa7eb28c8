"""What a problem is: frozen specifications that are parsed and checked once, before anything is allocated.

Glossary (the same names everywhere in fastconv)
------------------------------------------------
``N``            images in the batch
``C`` ``O``      input and output channels; with ``groups`` = g each group maps C/g to O/g of them
``D H W``        input size, ``KD KH KW`` window or filter size, ``OD OH OW`` output size
``x w b y``      input, weights, bias, output; ``dx dw db dy`` their gradients
``n o i j``      loop over the output; ``c u v`` loop over what is summed

Kernels see every problem with three spatial axes (D, H, W): a 1-D problem has D = H = 1, a 2-D problem D = 1.
Tuples in a specification have those three entries; ``rank`` tells how many of them, from the right, the caller gave.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InvalidArgument

Triple = tuple[int, int, int]
Pairs = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
PADDING_MODES = {
    "zeros": "zeros",
    "edge": "edge",
    "replicate": "edge",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "circular": "wrap",
}
AXES = ("depth", "height", "width")


@dataclass(frozen=True)
class ConvSpec:
    """One convolution problem: y[n,o,i] = b[o] + sum over c,u of xp[n, c, i*stride + u*dilation] * w[o,c,u]."""

    rank: int
    N: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    size: Triple
    kernel: Triple
    stride: Triple
    dilation: Triple
    padding: Pairs
    padding_mode: str
    groups: int
    channels_last: bool
    dtype: str

    @property
    def extent(self) -> Triple:
        """Input pixels that one output pixel's window spans, on each axis."""
        return _triple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def padded(self) -> Triple:
        """Input size with its border."""
        return _triple(n + sum(p) for n, p in zip(self.size, self.padding, strict=True))

    @property
    def out(self) -> Triple:
        """Output size (OD, OH, OW)."""
        return _triple((n - e) // s + 1 for n, e, s in zip(self.padded, self.extent, self.stride, strict=True))

    @property
    def taps(self) -> int:
        """Weights of one filter in one channel."""
        return math.prod(self.kernel)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the direct method."""
        return 2 * self.N * self.O * math.prod(self.out) * (self.C // self.groups) * self.taps

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of x as the caller has it."""
        return _arrange(self.N, self.C, self.size[3 - self.rank :], self.channels_last)

    @property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of y as the caller has it."""
        return _arrange(self.N, self.O, self.out[3 - self.rank :], self.channels_last)

    @property
    def w_shape(self) -> tuple[int, ...]:
        """Shape of w as the caller has it."""
        kernel, inner = self.kernel[3 - self.rank :], self.C // self.groups
        return (*kernel, inner, self.O) if self.channels_last else (self.O, inner, *kernel)

    def __str__(self) -> str:
        """Problem string, such as ``n8c16h32w32_o32k3s1p1``: enough to name the problem in a table or on the command line."""
        names = "dhw"[3 - self.rank :]
        size = "".join(f"{a}{n}" for a, n in zip(names, self.size[3 - self.rank :], strict=True))
        text = f"n{self.N}c{self.C}{size}_o{self.O}k{_short(self.kernel, self.rank)}s{_short(self.stride, self.rank)}"
        before = tuple(p[0] for p in self.padding)
        after = tuple(p[1] for p in self.padding)
        text += f"p{_short(before, self.rank)}" + (f"-{_short(after, self.rank)}" if after != before else "")
        if self.dilation != (1, 1, 1):
            text += f"d{_short(self.dilation, self.rank)}"
        if self.groups != 1:
            text += f"g{self.groups}"
        if self.padding_mode != "zeros":
            text += f"_{self.padding_mode}"
        return text


@dataclass(frozen=True)
class PoolSpec:
    """One pooling problem: every window's real elements are reduced to one number, channel by channel."""

    rank: int
    N: int
    C: int
    size: Triple
    window: Triple
    stride: Triple
    padding: Pairs
    dilation: Triple
    out: Triple
    channels_last: bool
    dtype: str
    adaptive: bool = False

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of x as the caller has it."""
        return _arrange(self.N, self.C, self.size[3 - self.rank :], self.channels_last)

    @property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of y as the caller has it."""
        return _arrange(self.N, self.C, self.out[3 - self.rank :], self.channels_last)

    @property
    def flops(self) -> int:
        """Elements read."""
        return self.N * self.C * math.prod(self.out) * math.prod(self.window)

    def windows(self, count_include_pad: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tables of the windows along each axis, int64 (out, 3): first real element, number of real elements, divisor.

        The number of elements in a window, and what avg_pool divides by, are products over the axes; a tap beyond
        the padded input counts nowhere, a tap in the padding counts in the divisor if `count_include_pad`.
        Elements of a window lie `dilation` apart.
        """
        return tuple(self._axis_windows(a, count_include_pad) for a in range(3))  # type: ignore[return-value]

    def _axis_windows(self, a: int, count_include_pad: bool) -> np.ndarray:
        n, k, d = self.size[a], self.window[a], self.dilation[a]
        before, after = self.padding[a]
        i = np.arange(self.out[a], dtype=np.int64)
        if self.adaptive:
            first = i * n // self.out[a]
            count = -(-(i + 1) * n // self.out[a]) - first
            return np.stack([first, count, count], axis=1)
        start = i * self.stride[a] - before
        skipped = np.maximum(0, -(start // d))  # taps before the first real element
        stop = np.clip(-((start - n) // d), 0, k)  # taps before the end of the input
        count = np.maximum(0, stop - skipped)
        divisor = np.clip(-((start - n - after) // d), 0, k) if count_include_pad else count
        return np.stack([start + skipped * d, count, divisor], axis=1)


def conv_spec(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    b_shape: Sequence[int] | None = None,
    *,
    rank: int,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    dtype: Any = "float32",
) -> ConvSpec:
    """Parse and check the arguments of a convolution; every fault is one `InvalidArgument`."""
    channels_last = parse_layout(layout, rank)
    x_shape, w_shape = _shape(x_shape, "x"), _shape(w_shape, "w")
    shapes = f"(x: {x_shape}, w: {w_shape}, layout {LAYOUTS[rank][channels_last]})"
    form = _form("x", rank, channels_last), "(KERNEL, C/groups, O)" if channels_last else "(O, C/groups, KERNEL)"
    if len(x_shape) != rank + 2:
        raise InvalidArgument(f"x has {len(x_shape)} axes but conv{rank}d needs {rank + 2}, {form[0]} {shapes}")
    if len(w_shape) != rank + 2:
        raise InvalidArgument(f"w has {len(w_shape)} axes but conv{rank}d needs {rank + 2}, {form[1]} {shapes}")
    N, C, size = _split(x_shape, channels_last)
    kernel, inner, O = (w_shape[:-2], w_shape[-2], w_shape[-1]) if channels_last else (w_shape[2:], w_shape[1], w_shape[0])
    groups = parse_groups(groups, C, O, shapes)
    if inner * groups != C:
        raise InvalidArgument(
            f"w has {inner} input channels but x has {C} {shapes}; with groups={groups} w must have {C // groups}: "
            f"{form[1]}"
        )
    if min(*kernel, C, O) < 1:
        raise InvalidArgument(f"every axis but the batch must have at least one element {shapes}")
    if b_shape is not None and tuple(b_shape) != (O,):
        raise InvalidArgument(f"b has shape {tuple(b_shape)} but there are {O} output channels; expected ({O},)")
    stride, dilation = parse_axes(stride, "stride", rank), parse_axes(dilation, "dilation", rank)
    if not isinstance(padding_mode, str) or padding_mode not in PADDING_MODES:
        raise InvalidArgument(f"padding_mode is {padding_mode!r}; expected one of {', '.join(PADDING_MODES)}")
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    pairs = parse_padding(padding, rank, size, extent, stride)
    for a, (n, e, (before, after)) in enumerate(zip(size, extent, pairs, strict=True)):
        if n + before + after < e or n < 1:
            raise InvalidArgument(
                f"the output would be empty along {AXES[3 - rank + a]}: the input has {n} + {before} + {after} (padding) "
                f"elements there but the dilated filter spans {e} {shapes}; pad more or use a smaller filter"
            )
    return ConvSpec(
        rank=rank,
        N=N,
        C=C,
        O=O,
        size=lift(size, 1),
        kernel=lift(kernel, 1),
        stride=lift(stride, 1),
        dilation=lift(dilation, 1),
        padding=lift(pairs, (0, 0)),
        padding_mode=PADDING_MODES[padding_mode],
        groups=groups,
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
    )


def transposed_spec(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    b_shape: Sequence[int] | None = None,
    *,
    rank: int,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    dtype: Any = "float32",
) -> ConvSpec:
    """The forward convolution whose input gradient is this transposed convolution: its y is our x, its x our output."""
    channels_last = parse_layout(layout, rank)
    x_shape, w_shape = _shape(x_shape, "x"), _shape(w_shape, "w")
    shapes = f"(x: {x_shape}, w: {w_shape}, layout {LAYOUTS[rank][channels_last]})"
    form = "(KERNEL, O/groups, C)" if channels_last else "(C, O/groups, KERNEL)"
    if len(x_shape) != rank + 2 or len(w_shape) != rank + 2:
        raise InvalidArgument(
            f"conv_transpose{rank}d needs x with {rank + 2} axes, {_form('x', rank, channels_last)}, and w with "
            f"{rank + 2} axes, {form} {shapes}"
        )
    N, C, size = _split(x_shape, channels_last)
    kernel, inner, outer = (w_shape[:-2], w_shape[-2], w_shape[-1]) if channels_last else (w_shape[2:], w_shape[1], w_shape[0])
    if outer != C:
        raise InvalidArgument(f"w has {outer} input channels but x has {C} {shapes}; expected w as {form}")
    groups = parse_groups(groups, C, None, shapes)
    O = inner * groups
    if b_shape is not None and tuple(b_shape) != (O,):
        raise InvalidArgument(f"b has shape {tuple(b_shape)} but there are {O} output channels; expected ({O},)")
    stride, dilation = parse_axes(stride, "stride", rank), parse_axes(dilation, "dilation", rank)
    extra = parse_axes(output_padding, "output_padding", rank, least=0)
    for a in range(rank):
        if extra[a] >= max(stride[a], dilation[a]):
            raise InvalidArgument(
                f"output_padding is {extra[a]} along {AXES[3 - rank + a]}; it must be below max(stride, dilation) = "
                f"{max(stride[a], dilation[a])}"
            )
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str) and padding == "same":
        full = [n * s for n, s in zip(size, stride, strict=True)]
        pairs = parse_padding("same", rank, full, extent, stride)
        extra = tuple(f - ((n - 1) * s + e - sum(p)) for f, n, s, e, p in zip(full, size, stride, extent, pairs, strict=True))
    else:
        pairs = parse_padding(padding, rank, size, extent, stride)
    out = [(n - 1) * s + e - sum(p) + o for n, s, e, p, o in zip(size, stride, extent, pairs, extra, strict=True)]
    if min(out) < 1 or min(*size, C, O) < 1:
        raise InvalidArgument(f"the output would be empty: its size would be {tuple(out)} {shapes}; use less padding")
    spec = conv_spec(
        _arrange(N, O, out, channels_last),
        w_shape,
        rank=rank,
        stride=stride,
        padding=pairs,
        dilation=dilation,
        groups=groups,
        layout=layout,
        dtype=dtype,
    )
    return spec


def pool_spec(
    x_shape: Sequence[int],
    window: Any,
    *,
    rank: int,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: str | None = None,
    dtype: Any = "float32",
) -> PoolSpec:
    """Parse and check the arguments of a pooling; every fault is one `InvalidArgument`."""
    channels_last = parse_layout(layout, rank)
    N, C, size = _pool_input(x_shape, rank, channels_last)
    window = parse_axes(window, "size", rank)
    stride = window if stride is None else parse_axes(stride, "stride", rank)
    dilation = parse_axes(dilation, "dilation", rank)
    extent = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    pairs = parse_padding(padding, rank, size, extent, stride)
    out = []
    for a, (n, e, s, (before, after)) in enumerate(zip(size, extent, stride, pairs, strict=True)):
        axis = AXES[3 - rank + a]
        if max(before, after) >= e:
            raise InvalidArgument(
                f"padding is ({before}, {after}) along {axis}; it must be below the dilated window's size, {e}"
            )
        room = n + before + after - e
        if room < 0:
            raise InvalidArgument(
                f"the output would be empty along {axis}: the input has {n} + {before} + {after} (padding) elements "
                f"there but the dilated window spans {e}; pad more or use a smaller window"
            )
        o = room // s + 1
        if ceil_mode:
            o = -(-room // s) + 1
            if (o - 1) * s >= n + before:  # the last window must start inside the input or its leading padding
                o -= 1
        out.append(o)
    return PoolSpec(
        rank=rank,
        N=N,
        C=C,
        size=lift(size, 1),
        window=lift(window, 1),
        stride=lift(stride, 1),
        padding=lift(pairs, (0, 0)),
        dilation=lift(dilation, 1),
        out=lift(out, 1),
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
    )


def adaptive_spec(
    x_shape: Sequence[int], out: Any, *, rank: int, layout: str | None = None, dtype: Any = "float32"
) -> PoolSpec:
    """Pooling to a given output size: window i reaches from floor(i*n/o) to ceil((i+1)*n/o). None keeps an axis."""
    channels_last = parse_layout(layout, rank)
    N, C, size = _pool_input(x_shape, rank, channels_last)
    if out is None or isinstance(out, (tuple, list)):
        wanted = (out,) * rank if out is None else tuple(out)
        out = tuple(n if o is None else o for o, n in zip(wanted, size, strict=False)) if len(wanted) == rank else wanted
    out = parse_axes(out, "output size", rank)
    window = [-(-n // o) for n, o in zip(size, out, strict=True)]
    return PoolSpec(
        rank=rank,
        N=N,
        C=C,
        size=lift(size, 1),
        window=lift(window, 1),
        stride=(1, 1, 1),
        padding=((0, 0),) * 3,
        dilation=(1, 1, 1),
        out=lift(out, 1),
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
        adaptive=True,
    )


def parse_layout(layout: str | None, rank: int) -> bool:
    """True for channels-last; None means channels-first."""
    first, last = LAYOUTS[rank]
    if layout is not None and (not isinstance(layout, str) or layout not in (first, last)):
        raise InvalidArgument(f"layout is {layout!r}; expected {first!r} or {last!r}")
    return layout == last


def parse_axes(value: Any, name: str, rank: int, least: int = 1) -> tuple[int, ...]:
    """One whole number, or one per axis, each at least `least`."""
    items = value if isinstance(value, (tuple, list, np.ndarray)) else (value,) * rank
    if len(items) != rank:
        raise InvalidArgument(f"{name} is {value!r}; expected one whole number or {rank} of them")
    numbers = tuple(_whole(item, name, value) for item in items)
    if min(numbers) < least:
        raise InvalidArgument(f"{name} is {value!r}; each must be at least {least}")
    return numbers


def parse_padding(
    padding: Any, rank: int, size: Sequence[int], extent: Sequence[int], stride: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding as (before, after) pairs from an int, one int or pair per axis, "valid" or "same" (Keras's rule)."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding == "same":
            total = [max(0, (-(-n // s) - 1) * s + e - n) for n, e, s in zip(size, extent, stride, strict=True)]
            return tuple((t // 2, t - t // 2) for t in total)
        raise InvalidArgument(f'padding is {padding!r}; expected "valid", "same", an int, one int or pair per axis')
    items = padding if isinstance(padding, (tuple, list, np.ndarray)) else (padding,) * rank
    if len(items) != rank:
        raise InvalidArgument(f"padding is {padding!r}; expected one int, or {rank} ints or (before, after) pairs")
    pairs = []
    for item in items:
        pair = item if isinstance(item, (tuple, list, np.ndarray)) else (item, item)
        if len(pair) != 2:
            raise InvalidArgument(f"padding is {padding!r}; each axis takes an int or a (before, after) pair")
        pairs.append((_whole(pair[0], "padding", padding), _whole(pair[1], "padding", padding)))
    if min(min(p) for p in pairs) < 0:
        raise InvalidArgument(f"padding is {padding!r}; it must not be negative; crop x instead")
    return tuple(pairs)


def parse_groups(groups: Any, C: int, O: int | None, shapes: str) -> int:
    """The number of groups, which divides both channel counts."""
    number = _whole(groups, "groups", groups)
    if number < 1 or C % number or (O is not None and O % number):
        against = f"{C} input" + (f" and {O} output" if O is not None else "")
        raise InvalidArgument(f"groups is {groups!r}; it must divide the {against} channels {shapes}")
    return number


def lift(values: Sequence[Any], fill: Any) -> Any:
    """Bring one entry per given axis to three, (D, H, W)."""
    return (fill,) * (3 - len(values)) + tuple(values)


def _pool_input(x_shape: Sequence[int], rank: int, channels_last: bool) -> tuple[int, int, tuple[int, ...]]:
    x_shape = _shape(x_shape, "x")
    if len(x_shape) != rank + 2:
        raise InvalidArgument(
            f"x has {len(x_shape)} axes but a {rank}-D pooling needs {rank + 2}, {_form('x', rank, channels_last)} "
            f"(x: {x_shape})"
        )
    N, C, size = _split(x_shape, channels_last)
    if min(*size, C) < 1:
        raise InvalidArgument(f"every axis of x but the batch must have at least one element (x: {x_shape})")
    return N, C, size


def _whole(value: Any, name: str, given: Any) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise InvalidArgument(f"{name} is {given!r}; expected whole numbers, not booleans")
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidArgument(f"{name} is {given!r}; expected whole numbers") from None
    if abs(number) >= 1 << 31:
        raise InvalidArgument(f"{name} is {given!r}; expected numbers below 2**31")
    return number


def _shape(shape: Sequence[int], name: str) -> tuple[int, ...]:
    try:
        numbers = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise InvalidArgument(f"the shape of {name} is {shape!r}; expected a tuple of whole numbers") from None
    if any(n < 0 for n in numbers):
        raise InvalidArgument(f"the shape of {name} is {numbers}; no axis may be negative")
    return numbers


def _split(shape: tuple[int, ...], channels_last: bool) -> tuple[int, int, tuple[int, ...]]:
    return (shape[0], shape[-1], shape[1:-1]) if channels_last else (shape[0], shape[1], shape[2:])


def _arrange(N: int, C: int, size: Sequence[int], channels_last: bool) -> tuple[int, ...]:
    return (N, *size, C) if channels_last else (N, C, *size)


def _triple(values: Any) -> Triple:
    a, b, c = values
    return a, b, c


def _form(name: str, rank: int, channels_last: bool) -> str:
    return f"({', '.join(LAYOUTS[rank][channels_last])})"


def _short(values: Sequence[int], rank: int) -> str:
    values = values[3 - rank :]
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
