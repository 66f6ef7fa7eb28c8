"""Named problems: what the benchmarks measure, and the problem strings that name them on the command line.

A problem string is an operation and the string of its specification, ``conv:n64c32h28w28_o32k3s1p1`` or
``max_pool:n8c64h112w112_k2s2p0``. It can be read back: `parse_problem` is the inverse of ``str(problem)``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InvalidArgument, shown
from ..problem import ConvProblem, PoolProblem
from ..spec import COMPUTED, CONVOLVED, LAYOUTS, conv_problem, parse_axes, parse_dtype, parse_word, pool_problem

CONVOLUTIONS = ("conv", "input_grad", "weight_grad")
POOLS = ("max_pool", "avg_pool", "max_pool_grad", "avg_pool_grad")
DEFAULT_LAYOUT = "NHWC"
ALL_LAYOUTS = tuple(layout for pair in LAYOUTS.values() for layout in pair)
GRAMMAR = (
    "[OP:]nNcC[dD][hH]wW_oOkK[sSTRIDE][pPADDING][dDILATION][gGROUPS], such as conv:n8c16h32w32_o32k3s1p1 "
    "or max_pool:n8c16h32w32_k2s2p0"
)

_NUMBERS = r"\d+(?:x\d+)*"
_PATTERN = re.compile(
    rf"(?:(?P<op>[a-z_]+):)?n(?P<N>\d+)c(?P<C>\d+)(?:d(?P<D>\d+))?(?:h(?P<H>\d+))?w(?P<W>\d+)"
    rf"_(?:o(?P<O>\d+))?k(?P<k>{_NUMBERS})(?:s(?P<s>{_NUMBERS}))?"
    rf"(?:p(?P<p>{_NUMBERS}|same|valid)(?:-(?P<after>{_NUMBERS}))?)?"
    rf"(?:d(?P<d>{_NUMBERS}))?(?:g(?P<g>\d+))?(?:_(?P<mode>[a-z]+))?"
)


@dataclass(frozen=True)
class Problem:
    """One operation on one specification.

    Examples
    --------
    >>> problem = parse_problem("n8c64h56w56_o64k3s1p1")
    >>> str(problem), problem.label, problem.flops
    ('conv:n8c64h56w56_o64k3s1p1', '8×[64→64@56 3×3]', 1849688064)
    """

    op: str
    spec: ConvProblem | PoolProblem

    def __str__(self) -> str:
        return f"{self.op}:{self.spec}"

    @property
    def table_op(self) -> str:
        """The dispatch table's name for the operation."""
        return self.spec.op

    @property
    def layout(self) -> str:
        """The arrays' layout, such as "NHWC"."""
        return LAYOUTS[self.spec.rank][self.spec.channels_last]

    @property
    def flops(self) -> int:
        """Operations of the direct method (of a pooling: elements read)."""
        return self.spec.flops

    @property
    def bytes(self) -> int:
        """Bytes that any method must read and write: input and output once (and the weights)."""
        spec = self.spec
        weights = math.prod(spec.w_shape) if isinstance(spec, ConvProblem) else 0
        indices = 8 * math.prod(spec.y_shape) if self.op == "max_pool_grad" else 0
        return (math.prod(spec.x_shape) + math.prod(spec.y_shape) + weights) * spec.itemsize + indices

    @property
    def label(self) -> str:
        """Short text for tables: 64×[32→32@28 3×3]."""
        spec = self.spec
        first = 3 - spec.rank
        size, stride = spec.size[first:], spec.stride[first:]
        window = spec.kernel[first:]
        channels = f"{spec.C}→{spec.O}" if isinstance(spec, ConvProblem) else f"{spec.C}"
        text = f"{spec.N}×[{channels}@{_times(size, square=True)} {_times(window)}"
        text += f"/{_times(stride, square=True)}" if max(stride) > 1 else ""
        text += f" d{_times(spec.dilation[first:], square=True)}" if max(spec.dilation) > 1 else ""
        text += f" g{spec.groups}" if isinstance(spec, ConvProblem) and spec.groups > 1 else ""
        return text + "]" + ("" if self.op == "conv" else " " + self.op.replace("_", " "))


def parse_problem(text: str, *, layout: str | None = None, dtype: str = "float32") -> Problem:
    """Read a problem string; `layout` defaults to channels-last.

    Raises
    ------
    InvalidArgument
        The text is no problem string, or names an impossible problem.

    Examples
    --------
    >>> parse_problem("max_pool:n8c64w112_k3s2p1").spec.out
    (1, 1, 56)
    """
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise InvalidArgument(f"problem is {shown(text)}; expected {GRAMMAR}")
    if re.search(r"\d{20}", text):
        raise InvalidArgument(f"problem is {shown(text)}; it holds a number that no array has elements for")
    part: dict[str, Any] = match.groupdict()
    if not int(part["N"]):
        raise InvalidArgument(f"problem is {shown(text)}; it has no images: nothing can be checked or timed")
    op = part["op"] or ("conv" if part["O"] else "max_pool")
    if op not in CONVOLUTIONS + POOLS or (part["O"] is None) != (op in POOLS):
        raise InvalidArgument(
            f"problem is {shown(text)}; its operation must be one of {', '.join(CONVOLUTIONS)} (with oO) or "
            f"{', '.join(POOLS)} (without)"
        )
    if part["D"] and not part["H"]:
        raise InvalidArgument(f"problem is {shown(text)}; with a depth it needs a height as well")
    size = tuple(int(part[axis]) for axis in "DHW" if part[axis])
    layout = None if layout is None else parse_word(layout, "layout", ALL_LAYOUTS)
    if layout is not None and len(layout) != len(size) + 2:  # one --layout serves problems of every rank
        layout = LAYOUTS[len(size)][layout[-1] == "C"]
    options = {"layout": layout, "dtype": parse_dtype(dtype, _dtypes(op)), **_window(part, size)}
    if op in POOLS:
        if part["g"] or part["mode"]:
            raise InvalidArgument(f"problem is {shown(text)}; a pooling has neither groups nor a padding mode")
        return pool(op, int(part["N"]), int(part["C"]), size, _axes(part["k"], size), **options)
    options |= {"groups": int(part["g"] or 1), "padding_mode": part["mode"] or "zeros"}
    return conv(op, int(part["N"]), int(part["C"]), int(part["O"]), size, _axes(part["k"], size), **options)


def parse_seed(seed: Any) -> int:
    """The seed of random numbers: a whole number, 0 among them."""
    return parse_axes(seed, "seed", 1, least=0)[0]


def check_problem(problem: Any) -> Problem:
    """The problem; anything else, such as the text that names one, is an `InvalidArgument`."""
    if not isinstance(problem, Problem):
        raise InvalidArgument(f"problem is {shown(problem)}; expected what parse_problem makes of a problem string")
    return problem


def conv(
    op: str,
    N: int,
    C: int,
    O: int,  # noqa: E741 - the field's name for output channels
    size: int | tuple[int, ...],
    kernel: int | tuple[int, ...],
    *,
    groups: int = 1,
    layout: str | None = None,
    **window: Any,
) -> Problem:
    """A convolution or one of its gradients; an int for `size` and `kernel` means a square."""
    size, kernel = _square(size), _square(kernel)
    if groups < 1 or C % groups:
        raise InvalidArgument(f"groups is {groups}; it must divide the {C} input channels")
    layout = layout or LAYOUTS[len(size)][True]
    inner, last = C // groups, layout[-1] == "C"
    x_shape = (N, *size, C) if last else (N, C, *size)
    w_shape = (*kernel, inner, O) if last else (O, inner, *kernel)
    table_op = op if op == "conv" else f"conv_{op}"
    spec = conv_problem(x_shape, w_shape, rank=len(size), groups=groups, layout=layout, op=table_op, **window)
    return Problem(op, spec)


def pool(
    op: str,
    N: int,
    C: int,
    size: int | tuple[int, ...],
    kernel: int | tuple[int, ...],
    *,
    layout: str | None = None,
    **window: Any,
) -> Problem:
    """A pooling, an average with its border counted; an int for `size` and `kernel` means a square."""
    size, kernel = _square(size), _square(kernel)
    layout = layout or LAYOUTS[len(size)][True]
    x_shape = (N, *size, C) if layout[-1] == "C" else (N, C, *size)
    window["count_include_pad"] = op.startswith("avg")
    return Problem(op, pool_problem(x_shape, kernel, rank=len(size), layout=layout, op=op, **window))


def in_layout(problem: Problem, layout: str) -> Problem:
    """The problem with channels last, for a layout such as "NHWC", or first; of any number of axes."""
    check_problem(problem)
    parse_word(layout, "layout", ALL_LAYOUTS)
    return replace(problem, spec=replace(problem.spec, channels_last=layout[-1] == "C"))


def in_dtype(problem: Problem, dtype: str) -> Problem:
    """The problem in another dtype; bfloat16 is for convolutions."""
    check_problem(problem)
    return replace(problem, spec=replace(problem.spec, dtype=parse_dtype(dtype, _dtypes(problem.op))))


def _dtypes(op: str) -> tuple[str, ...]:
    """What an operation is measured in."""
    return CONVOLVED if op in CONVOLUTIONS else COMPUTED


def shrink(problem: Problem) -> Problem:
    """The same kind of problem, small enough for a test: one image, few channels, few pixels, a filter up to 5."""
    check_problem(problem)
    spec = problem.spec
    first = 3 - spec.rank
    kernel = tuple(min(k, 5) for k in spec.kernel[first:])
    padding = tuple((min(a, k // 2), min(b, k // 2)) for (a, b), k in zip(spec.padding[first:], kernel, strict=True))
    extents = (d * (k - 1) + 1 for k, d in zip(kernel, spec.dilation[first:], strict=True))
    size = tuple(min(n, 9 + e) for n, e in zip(spec.size[first:], extents, strict=True))
    window: dict[str, Any] = {"stride": spec.stride[first:], "dilation": spec.dilation[first:], "padding": padding}
    window |= {"layout": problem.layout, "dtype": spec.dtype}
    if isinstance(spec, PoolProblem):
        return pool(problem.op, 1, min(spec.C, 5), size, kernel, **window)
    channels = min(spec.C, 5 * spec.groups), min(spec.O, 6 * spec.groups)
    return conv(
        problem.op, 1, *channels, size, kernel, groups=spec.groups, padding_mode=spec.padding_mode, **window
    )  # fmt: skip


def _window(part: dict[str, Any], size: tuple[int, ...]) -> dict[str, Any]:
    """Stride, padding and dilation of a matched problem string, as keyword arguments of the specifications."""
    padding: Any = part["p"] or "0"
    if padding not in ("same", "valid"):
        before = _axes(padding, size)
        padding = tuple(zip(before, _axes(part["after"], size) if part["after"] else before, strict=True))
    window: dict[str, Any] = {"padding": padding, "dilation": _axes(part["d"] or "1", size)}
    if part["s"] or part["O"]:
        window["stride"] = _axes(part["s"] or "1", size)
    return window


def _axes(text: str, size: tuple[int, ...]) -> tuple[int, ...]:
    numbers = tuple(int(item) for item in text.split("x"))
    if len(numbers) not in (1, len(size)):
        raise InvalidArgument(
            f"{shown(text)} in the problem is {len(numbers)} numbers; expected one, or {len(size)}, one an axis"
        )
    return numbers * len(size) if len(numbers) == 1 else numbers


def _times(values: Any, square: bool = False) -> str:
    return str(values[0]) if square and len(set(values)) == 1 else "×".join(map(str, values))


def _square(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value, value)
