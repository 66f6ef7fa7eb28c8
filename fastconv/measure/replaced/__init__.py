"""The scipy suite: calls as users of SciPy write them, by SciPy and by fastconv's function of the same name.

Each result is checked before it is timed: against what SciPy makes of the same arguments in float64. `signal_calls` and
its like say what is measured; `image_calls` also beside whom, and what is right, for SciPy matches no templates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ...spec import parse_word
from ..rivals import Rival
from ..rows import Contest, Entry
from ..timing import interleave_undisturbed
from . import image_calls, ndimage_calls, signal_calls
from .call import Call

AREAS: dict[str, Callable[[str], Iterator[Call]]] = {
    "signal": signal_calls.calls,
    "ndimage": ndimage_calls.calls,
    "image": image_calls.calls,
}
OURS = {"signal": "fastconv.signal", "ndimage": "fastconv.ndimage", "image": "fastconv.image"}
DTYPES = ("float32", "float64")
AUTO = "auto"
ROUNDINGS = 64  # of the largest value, that a result may be off by


@dataclass(frozen=True)
class CallRow(Contest):
    """One call: fastconv's time and SciPy's."""

    call: Call
    dtype: str
    tolerance: float
    ours: dict[str, Entry]
    rivals: dict[str, list[Entry]]
    disturbance: float | None
    load: int = 0

    @property
    def wrong(self) -> list[Entry]:
        """Contenders whose result is not within the tolerance."""
        entries = [*self.ours.values(), *(entry for found in self.rivals.values() for entry in found)]
        return [entry for entry in entries if not entry.error <= self.tolerance]

    def as_dict(self) -> dict[str, Any]:
        """The row for a report."""
        return {
            "function": self.call.function,
            "sizes": self.call.sizes,
            "dtype": self.dtype,
            "tolerance": self.tolerance,
            "disturbance": self.disturbance,
            "load": self.load,
            "fastconv": self._entry(self.ours[AUTO]),
            "rivals": {rival: [self._entry(entry) for entry in found] for rival, found in self.rivals.items()},
            "ratios": {
                rival: {figure: self.ratio(AUTO, rival, figure) for figure in ("minimum", "median")}
                for rival in self.rivals
                if self.best(rival)
            },
        }

    def _entry(self, entry: Entry) -> dict[str, Any]:
        known: dict[str, Any] = {"max_error": entry.error if math.isfinite(entry.error) else None}
        if entry.note:
            known["note"] = entry.note
        return known if entry.timing is None else known | entry.timing.as_dict()


def calls_of(area: str, dtype: str) -> list[Call]:
    """The calls of an area, such as "signal", in a dtype.

    Examples
    --------
    >>> [str(call) for call in calls_of("signal", "float32")][:1]
    ['signal.convolve 100 * 5']
    """
    return list(AREAS[parse_word(area, "area", tuple(AREAS))](parse_word(dtype, "dtype", DTYPES)))


def measure_call(call: Call, dtype: str, rivals: Iterable[Rival] = (), seconds: float = 1.0) -> list[CallRow]:
    """Check, then time, a call, for about `seconds`; those of the `rivals` that have such a function take part.

    Examples
    --------
    >>> row, = measure_call(calls_of("signal", "float64")[0], "float64", seconds=0.01)
    >>> row.wrong, row.ours["auto"].timing.minimum > 0
    ([], True)
    """
    arrays, precise = call.arrays(np.dtype(dtype)), call.arrays(np.float64)
    expected, tolerance, theirs = _judges(call, precise, np.dtype(dtype))
    chosen = {rival.name for rival in rivals}
    contenders = {"fastconv": _function("fastconv", call)} | {who: f for who, f in theirs.items() if who in chosen}
    runs = {who: _bound(function, arrays, call.options) for who, function in contenders.items()}
    entries = {who: _judge(who, run(), expected, tolerance) for who, run in runs.items()}
    right = {who: run for who, run in runs.items() if not entries[who].note}
    timings, disturbance = interleave_undisturbed(right, seconds)
    timed = {who: Entry(who, "", e.error, timings.get(who), e.note) for who, e in entries.items()}
    others = {who: [entry] for who, entry in timed.items() if who != "fastconv"}
    return [CallRow(call, dtype, tolerance, {AUTO: timed["fastconv"]}, others, disturbance)]


def _judges(
    call: Call, precise: tuple[np.ndarray, ...], dtype: np.dtype
) -> tuple[np.ndarray, float, dict[str, Callable[..., Any]]]:
    """What is right, how far from it a result may be, and who else has such a function."""
    if call.function.startswith("image."):
        return image_calls.expected(*precise), image_calls.TOLERANCE, image_calls.rivals(dtype)
    theirs = _function("scipy", call)
    expected = np.asarray(theirs(*precise, **call.options))
    return expected, ROUNDINGS * float(np.finfo(dtype).eps), {"scipy": theirs}


def _function(library: str, call: Call) -> Callable[..., Any]:
    area, _, name = call.function.partition(".")
    module = OURS[area] if library == "fastconv" else f"scipy.{area}"
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def _bound(function: Callable[..., Any], arrays: tuple[np.ndarray, ...], options: dict[str, Any]) -> Callable[[], Any]:
    return lambda: function(*arrays, **options)


def _judge(who: str, result: Any, expected: np.ndarray, tolerance: float) -> Entry:
    """The largest deviation, as a fraction of the largest value."""
    error = math.inf
    if isinstance(result, np.ndarray) and result.shape == expected.shape:
        error = float(np.max(np.abs(result - expected)) / max(float(np.max(np.abs(expected))), 1e-300))
        error = math.inf if math.isnan(error) else error
    return Entry(who, "", error, note="" if error <= tolerance else f"wrong result (error {error:.3g})")
