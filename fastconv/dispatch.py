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

from .config import settings
from .errors import InvalidArgument, Unsupported
from .spec import ConvSpec, PoolSpec

Spec = ConvSpec | PoolSpec
Supports = Callable[[Any], str | None]

METHODS = ("auto", "direct", "im2col", "winograd", "fft")
DEVICES = ("cpu", "cuda")
LEAST_COLUMNS = 8  # output channels per group below which the tiles of im2col on a GPU would be mostly empty
WORTH_PLANNING = 1e5  # nanoseconds: smaller problems are not worth the time it takes to plan a transform
SPREADING = ("winograd", "fft")  # methods that spread a NaN or Inf beyond the windows that hold it


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


def _table() -> tuple[Row, ...]:
    convolutions = ("conv", "conv_input_grad", "conv_weight_grad")
    pools = ("max_pool", "avg_pool", "lp_pool", "max_pool_grad", "avg_pool_grad", "lp_pool_grad")
    rows = [Row(op, "fft", "cpu", f"fastconv.cpu.fft:{op}", _fft) for op in convolutions]
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
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidArgument(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    return _find(op, spec, method, device, prepared)


@lru_cache(maxsize=1024)
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
    """The fastest method for finite data by a model of the work; pure, so the choice can be tested."""
    able = [row.method for row in rows(op, device) if row.supports(spec) is None]
    if isinstance(spec, ConvSpec) and "fft" in able:
        direct = _direct_cost(op, spec)
        if direct > WORTH_PLANNING and _fft_cost(op, spec) < direct:
            return "fft"
    if device == "cuda" and "im2col" in able and isinstance(spec, ConvSpec) and spec.O // spec.groups >= LEAST_COLUMNS:
        return "im2col"  # the tiled kernel; direct is a thread per output
    return "direct"


def load(row: Row) -> Callable[..., Any]:
    """Import the kernel a row names."""
    return load_name(row.kernel)


@lru_cache(maxsize=64)
def load_name(text: str) -> Callable[..., Any]:
    """Import what ``package.module:name`` names."""
    module, name = text.split(":")
    return getattr(import_module(module), name)


def _direct_cost(op: str, spec: ConvSpec) -> float:
    """Nanoseconds of one core for the direct kernel: lanes without an output channel idle (docs/decisions/0004)."""
    per_group = (spec.C if op == "conv_input_grad" else spec.O) // spec.groups
    lanes = 64 // spec.itemsize
    idle = math.ceil(per_group / lanes) * lanes / per_group
    few = max(1.0, 4 / (spec.C // spec.groups)) if op == "conv_weight_grad" else 1.0
    return 0.018 * spec.itemsize / 4 * spec.flops / 2 * idle * few


def _fft_cost(op: str, spec: ConvSpec) -> float:
    """Nanoseconds of one core for the tiled transform."""
    return load_name("fastconv.cpu.fft.plan:cost")(
        op, spec.N, spec.C, spec.O, spec.size, spec.out, spec.kernel, stride=spec.stride, dilation=spec.dilation,
        groups=spec.groups, itemsize=spec.itemsize, budget=settings.scratch_bytes,
    )  # fmt: skip
