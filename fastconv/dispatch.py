"""The one table of what can compute what: (operation, method, device) -> kernel, and the choice of a method.

A kernel is named as text and imported on first use. ``supports(spec)`` is None where the kernel can serve the problem,
else the reason why not. The rows of one operation and device stand in order of preference; the last, direct, serves
every legal problem, so "auto" always finds one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from . import rates
from .errors import InvalidArgument, Unsupported, shown
from .spec import ConvSpec, PoolSpec

Spec = ConvSpec | PoolSpec
Supports = Callable[[Any], str | None]

METHODS = ("auto", "direct", "im2col", "winograd", "fft")
DEVICES = ("cpu", "cuda")
LEAST_COLUMNS = 8  # channels of the result per group below which the tiles of im2col on a GPU would be mostly empty
WORTH_PLANNING = 1e-4  # seconds: smaller problems are not worth the time it takes to plan a transform
SPREADING = ("winograd", "fft")  # transforms: they spread NaN, Inf and errors beyond the windows that hold the cause


@dataclass(frozen=True)
class Row:
    """One kernel of the table."""

    op: str
    method: str
    device: str
    kernel: str
    supports: Supports


def _always(spec: Spec) -> None:
    return None


def _fft(spec: ConvSpec) -> str | None:
    return None if spec.taps > 1 else "a filter of one tap gains nothing from a Fourier transform"


def _winograd(spec: ConvSpec) -> str | None:
    if spec.kernel == (1, 3, 3) and spec.stride[1:] == (1, 1):
        return None
    window, step = ("x".join(map(str, sizes[3 - max(spec.rank, 2) :])) for sizes in (spec.kernel, spec.stride))
    return f"winograd serves 3x3 filters of stride 1; this one is {window}, stride {step}"


def _winograd_cuda(spec: ConvSpec) -> str | None:
    if spec.dilation[1:] != (1, 1):
        return f"winograd on cuda serves dilation 1; this one is {spec.dilation[1]}x{spec.dilation[2]}"
    return _winograd(spec)


def _winograd_grad_cuda(spec: ConvSpec) -> str | None:
    if spec.stride[0] != 1:
        return f"winograd's gradients on cuda serve stride 1 along the depth; this one is {spec.stride[0]}"
    return _winograd_cuda(spec)


def _table() -> tuple[Row, ...]:
    convolutions = ("conv", "conv_input_grad", "conv_weight_grad")
    pools = ("max_pool", "avg_pool", "lp_pool", "max_pool_grad", "avg_pool_grad", "lp_pool_grad")
    rows = [Row(op, "fft", device, f"fastconv.{device}.fft:{op}", _fft) for device in DEVICES for op in convolutions]
    rows += [Row(op, "winograd", "cpu", f"fastconv.cpu.winograd:{op}", _winograd) for op in convolutions]
    rows.append(Row("conv", "winograd", "cuda", "fastconv.cuda.winograd:conv", _winograd_cuda))
    for op in convolutions[1:]:
        rows.append(Row(op, "winograd", "cuda", f"fastconv.cuda.winograd:{op}", _winograd_grad_cuda))
    for device in DEVICES:
        for method in ("im2col", "direct"):
            rows += [Row(op, method, device, f"fastconv.{device}.{method}:{op}", _always) for op in convolutions]
        rows += [Row(op, "direct", device, f"fastconv.{device}.pool:{op}", _always) for op in pools]
    return tuple(rows)


TABLE = _table()


def rows(op: str, device: str = "cpu") -> list[Row]:
    """The kernels for an operation on a device, in order of preference."""
    return [row for row in TABLE if row.op == op and row.device == device]


def find(op: str, spec: Spec, method: str, device: str, *, prepared: bool = False) -> Row:
    """The row that serves `spec` by `method`; "auto" chooses, any other method serves or raises `Unsupported`.

    `prepared` says that the weights are packed or transformed already, as in a plan.
    """
    check_method(method)
    return _find(op, spec, method, device, prepared)


def check_method(method: Any) -> None:
    """Raise `InvalidArgument` unless `method` is the name of one."""
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidArgument(f"method is {shown(method)}; expected one of {', '.join(METHODS)}")


_remembered: list[Any] = []


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Cache what depends on which method was chosen, until the rates change (`forget`)."""
    cached = lru_cache(maxsize=1024)(function)
    _remembered.append(cached)
    return cached


@remembered
def _find(op: str, spec: Spec, method: str, device: str, prepared: bool) -> Row:
    if method == "auto":
        method = choose_method(op, spec, device, prepared=prepared)
    candidates = rows(op, device)
    reasons = {row.method: row.supports(spec) for row in candidates}
    if reasons.get(method, "") is None:
        return next(row for row in candidates if row.method == method)
    able = ", ".join(repr(name) for name, reason in reasons.items() if reason is None)
    why = reasons.get(method) or f"there is no {method} kernel for {op} on {device}"
    raise Unsupported(f"method {method!r} cannot serve {op} of {spec}: {why}; methods that can: {able}")


def choose_method(op: str, spec: Spec, device: str = "cpu", *, prepared: bool = False) -> str:
    """The fastest method for ordinary data by a model of the work; it depends on the arguments and the rates only.

    On CUDA it is im2col or direct: nothing looks at the data there, which would cost a synchronisation, and Winograd's
    method and the FFT, to be asked for by name, spread NaN, Inf and errors.
    """
    able = [row.method for row in rows(op, device) if row.supports(spec) is None]
    if not isinstance(spec, ConvSpec):
        return able[-1]
    if device == "cuda":  # the implicit GEMM, unless its tiles would be mostly empty; never what spreads NaN
        columns = (spec.C if op == "conv_input_grad" else spec.O) // spec.groups
        return "im2col" if "im2col" in able and columns >= LEAST_COLUMNS else "direct"
    times = {"direct": predict(op, spec, "direct", prepared=prepared)}
    for method in able:
        if method not in times and not (method == "fft" and times["direct"] < WORTH_PLANNING):
            times[method] = predict(op, spec, method, prepared=prepared)
    return min(times, key=times.__getitem__)


def predict(op: str, spec: ConvSpec, method: str, *, prepared: bool = False) -> float:
    """Seconds that a method of the CPU is expected to take: its counts of work at this machine's rates."""
    return rates.rate(op, method).seconds(work(op, spec, method, prepared=prepared), spec.itemsize)


def work(op: str, spec: ConvSpec, method: str, *, prepared: bool = False) -> Any:
    """What a method of the CPU counts for a problem it serves: `fastconv.cpu.work.Work`."""
    row = next(row for row in rows(op) if row.method == method)
    # Methods write the gradient of x with its border, and fold it.
    folded = op == "conv_input_grad" and spec.padding_mode != "zeros" and any(map(any, spec.padding))
    size = spec.padded if folded else spec.size
    counted = companion(row, "work")(
        op, max(1, spec.N), spec.C, spec.O, size, spec.out, spec.kernel, stride=spec.stride,
        dilation=spec.dilation, groups=spec.groups, itemsize=spec.itemsize, channels_last=spec.channels_last,
        prepared=prepared,
    )  # fmt: skip
    padded = spec.N * spec.C * math.prod(size) * spec.itemsize
    return counted._replace(extra=counted.extra + padded) if folded else counted


def load(row: Row) -> Callable[..., Any]:
    """Import the kernel a row names."""
    return load_name(row.kernel)


def companion(row: Row, name: str) -> Callable[..., Any]:
    """What stands beside a row's kernel in its module: `prepare` makes weights ready, `work` counts."""
    return load_name(f"{row.kernel.split(':')[0]}:{name}")


@lru_cache(maxsize=64)
def load_name(text: str) -> Callable[..., Any]:
    """Import what ``package.module:name`` names."""
    module, name = text.split(":")
    return getattr(import_module(module), name)


def forget() -> None:
    """Choose anew: the rates have changed."""
    for cached in _remembered:
        cached.cache_clear()
