"""What a measurement found: contenders, rows, ratios and their geometric means."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidArgument, shown
from .machine import Peaks
from .problems import CONVOLUTIONS, DEFAULT_LAYOUT, Problem
from .timing import Timing, geometric_mean

PLAN = "plan"  # auto with weights that are ready: what `plan_conv2d` gives
METHODS = ("auto", PLAN, "direct")


@dataclass(frozen=True)
class Entry:
    """One contender on one problem: what it is, how wrong its result is, how long it takes (or why not).

    `prepared` is a rival whose weights were packed before, as those of a plan are.
    """

    who: str
    variant: str
    error: float = math.nan
    timing: Timing | None = None
    note: str = ""
    prepared: bool = False


class Contest:
    """Ways of fastconv by name, and each rival's ways to do the same."""

    ours: dict[str, Entry]
    rivals: dict[str, list[Entry]]

    def best(self, rival: str) -> Entry | None:
        """The rival's fastest way, None where nothing was timed."""
        timed = [entry for entry in self.rivals.get(rival, []) if entry.timing is not None]
        return min(timed, key=lambda entry: _seconds(entry, "minimum"), default=None)

    def ratio(self, method: str, rival: str, figure: str = "minimum") -> float | None:
        """The rival's time / ours, above 1 where fastconv is faster; by "minimum" or "median".

        A rival whose weights were packed before is compared with a plan only: other methods pack them in every call.
        """
        entry = self.ours.get(method)
        timed = [e for e in self.rivals.get(rival, []) if e.timing is not None and (method == PLAN or not e.prepared)]
        if not timed or entry is None or entry.timing is None:
            return None
        return min(_seconds(other, figure) for other in timed) / _seconds(entry, figure)


@dataclass(frozen=True)
class Row(Contest):
    """One problem, measured: fastconv by each method asked for, and each rival's ways to do it."""

    problem: Problem
    chosen: str
    tolerance: float
    ours: dict[str, Entry]
    rivals: dict[str, list[Entry]]
    disturbance: float | None = None
    peaks: Peaks | None = field(default=None, repr=False)
    load: int = 0  # busy processes beside it

    @property
    def wrong(self) -> list[Entry]:
        """Contenders whose result is not within the tolerance."""
        entries = [*self.ours.values(), *(entry for found in self.rivals.values() for entry in found)]
        return [entry for entry in entries if entry.error > self.tolerance]

    def speed(self, entry: Entry) -> tuple[float, str]:
        """GFLOP/s, counting the direct method's operations whatever the method; of a pooling GB/s."""
        if entry.timing is None:
            return math.nan, ""
        if self.problem.op in CONVOLUTIONS:
            return self.problem.flops / entry.timing.minimum / 1e9, "GFLOP/s"
        return self.problem.bytes / entry.timing.minimum / 1e9, "GB/s"

    def fraction(self, entry: Entry) -> float | None:
        """Speed as a fraction of the measured peak: multiply-adds for a convolution, copying for a pooling."""
        if self.peaks is None or entry.timing is None:
            return None
        speed, unit = self.speed(entry)
        return speed / (self.peaks.gflops if unit == "GFLOP/s" else self.peaks.copy_gbytes)

    def command(self, rivals: Iterable[str] = ()) -> str:
        """The command that measures this row again."""
        words = ["fastconv", "bench", "--problem", str(self.problem), "--against", ",".join(rivals) or "none"]
        if self.problem.spec.channels_last != (DEFAULT_LAYOUT[-1] == "C"):
            words += ["--layout", self.problem.layout]
        if self.problem.spec.dtype != "float32":
            words += ["--dtype", self.problem.spec.dtype]
        if tuple(self.ours) != METHODS:
            words += ["--method", ",".join(self.ours)]
        if self.load:
            words += ["--load", str(self.load)]
        return shlex.join(words)

    def as_dict(self) -> dict[str, Any]:
        """The row for a report."""
        return {
            "problem": str(self.problem),
            "label": self.problem.label,
            "layout": self.problem.layout,
            "dtype": self.problem.spec.dtype,
            "flops": self.problem.flops,
            "bytes": self.problem.bytes,
            "auto_chose": self.chosen,
            "tolerance": self.tolerance,
            "disturbance": self.disturbance,
            "load": self.load,
            "fastconv": {method: self._entry(entry) for method, entry in self.ours.items()},
            "rivals": {rival: [self._entry(entry) for entry in found] for rival, found in self.rivals.items()},
            "ratios": {
                rival: {
                    method: {figure: self.ratio(method, rival, figure) for figure in ("minimum", "median")}
                    for method in self.ours
                }
                for rival in self.rivals
                if self.best(rival)
            },
            "command": self.command(self.rivals),
        }

    def _entry(self, entry: Entry) -> dict[str, Any]:
        known: dict[str, Any] = {"variant": entry.variant}
        if not math.isnan(entry.error):
            known["max_error"] = entry.error if math.isfinite(entry.error) else None
        if entry.note:
            known["note"] = entry.note
        if entry.timing is not None:
            speed, unit = self.speed(entry)
            known |= entry.timing.as_dict() | {"speed": speed, "unit": unit, "fraction_of_peak": self.fraction(entry)}
        return known


def summary(rows: Iterable[Contest]) -> dict[str, dict[str, dict[str, float | int]]]:
    """For each method and rival the geometric mean of the ratios, over the rows where both were timed."""
    try:
        rows = list(rows)
    except Exception:  # of what cannot be iterated over
        raise InvalidArgument(f"rows is {shown(rows)}; expected the rows that compare returned") from None
    if not all(isinstance(row, Contest) for row in rows):
        raise InvalidArgument(f"rows is {shown(rows)}; expected the rows that compare returned")
    means: dict[str, dict[str, dict[str, float | int]]] = {}
    for method in dict.fromkeys(method for row in rows for method in row.ours):
        for rival in dict.fromkeys(rival for row in rows for rival in row.rivals):
            figures = {
                figure: [r for row in rows if (r := row.ratio(method, rival, figure)) is not None]
                for figure in ("minimum", "median")
            }
            if figures["minimum"]:
                means.setdefault(method, {})[rival] = {
                    "rows": len(figures["minimum"]),
                    "least": min(figures["minimum"]),
                    **{figure: geometric_mean(ratios) for figure, ratios in figures.items()},
                }
    return means


def _seconds(entry: Entry, figure: str) -> float:
    return getattr(entry.timing, figure)
