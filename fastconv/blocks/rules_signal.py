"""How convolutions of SciPy's kind, which flip, and template matching are cut."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..borders import Border
from ..errors import InvalidArgument, shown
from .operations import Operation, Outputs, rule, same_size
from .reach import Reach

BOUNDARIES = {"fill": "zeros", "pad": "zeros", "wrap": "wrap", "circular": "wrap", "symm": "symmetric"}
BOUNDARIES |= {"symmetric": "symmetric"}  # as SciPy has them


@rule("signal", "convolve", "correlate", "fftconvolve", "oaconvolve", "convolve2d", "correlate2d")
def convolve(function: Any, x: Any, in2: Any, *args: Any, **keywords: Any) -> Operation:
    """A window of in2's size, wherever `mode` puts it; what lies outside is put round a block before the call."""
    options = _bound(function, x, in2, *args, **keywords)
    kernel = np.asarray(in2)
    if kernel.ndim != len(x.shape):
        raise InvalidArgument(f"in2 has {kernel.ndim} axes but the array has {len(x.shape)}; they must have as many")
    mode, axes = options.pop("mode"), _axes_of(options, len(x.shape))
    boundary, fill = options.pop("boundary", "fill"), options.pop("fillvalue", 0)
    if mode not in ("full", "same", "valid") or boundary not in BOUNDARIES:
        raise InvalidArgument(f"mode is {shown(mode)}, boundary {shown(boundary)}; expected words that SciPy knows")
    reaches = []
    for axis, (n, k) in enumerate(zip(x.shape, kernel.shape, strict=True)):
        if axis not in axes:
            if k != 1:
                raise InvalidArgument(f"in2 has {k} elements along axis {axis}, which is not one of axes; expected 1")
            reaches.append(Reach(n, n))
            continue
        if k > n and mode != "full":
            raise InvalidArgument(f"in2 has {k} elements along axis {axis} but the array {n}; expected at most as many")
        before = {"full": k - 1, "valid": 0}.get(mode, k - 1 - _centre(function, k))
        out = {"full": n + k - 1, "valid": n - k + 1}.get(mode, n)
        reaches.append(Reach(n, out, 1, before, k, BOUNDARIES[boundary]))

    def compute(block: np.ndarray, outputs: Outputs, stretches: Sequence[Border]) -> Any:
        return function(block, in2, mode="valid", **options)

    return Operation(tuple(reaches), compute, fill)


def _centre(function: Any, k: int) -> int:
    """Where the result of "same" begins in that of "full"."""
    return k // 2 if function.__name__ == "correlate2d" else (k - 1) // 2


def _axes_of(options: dict[str, Any], ndim: int) -> set[int]:
    axes = options.get("axes")
    if axes is None:
        return set(range(ndim))
    return {int(a) % ndim for a in np.atleast_1d(axes)}


@rule("image", "match_template")
def match_template(function: Any, x: Any, template: Any, *args: Any, **keywords: Any) -> Operation:
    """A window of the template's size for each of its places inside the image."""
    options = _bound(function, x, template, *args, **keywords)
    if options.get("pad_input"):
        raise InvalidArgument("pad_input asks what lies outside the image; pad the array, and match without it")
    sizes = np.shape(template)
    if len(sizes) != len(x.shape) or any(k > n for k, n in zip(sizes, x.shape, strict=True)):
        raise InvalidArgument(f"the template has shape {sizes}; expected one that lies inside of {tuple(x.shape)}")
    reaches = tuple(Reach(n, n - k + 1, 1, 0, k) for n, k in zip(x.shape, sizes, strict=True))
    return Operation(reaches, lambda block, outputs, stretches: function(block, template, **options))


@rule("signal", "medfilt2d")
def medfilt(function: Any, x: Any, *args: Any, **keywords: Any) -> Operation:
    """Half of the window to either side; the function itself puts zeros round the array."""
    bound = inspect.signature(function).bind(x, *args, **keywords)
    bound.apply_defaults()
    sizes = np.broadcast_to(np.asarray(bound.arguments["kernel_size"], int), (len(x.shape),)).tolist()
    return same_size(lambda block: function(block, *args, **keywords), x.shape, [(k // 2, k // 2) for k in sizes])


def _bound(function: Any, x: Any, second: Any, *args: Any, **keywords: Any) -> dict[str, Any]:
    """All arguments after the first two, by name, with their defaults; Python's own error where one has no place."""
    bound = inspect.signature(function).bind(x, second, *args, **keywords)
    bound.apply_defaults()
    return dict(list(bound.arguments.items())[2:])
