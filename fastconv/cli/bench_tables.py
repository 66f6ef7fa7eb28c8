"""What a benchmark prints: what was measured on, a table for each suite, and what its ratios come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .console import Column, say, show_table, tell

if TYPE_CHECKING:
    from ..measure import Entry, Peaks, Rival, Row

BUSY = 0.1  # fraction of the machine that others may use without being told of


def show_head(facts: dict[str, Any], peaks: Iterable[Peaks], load: int) -> None:
    """The machine, and how fast it can be."""
    machine = facts["machine"]
    tell(f"{machine['processor']}, {machine['instruction_set']}, {facts['threads']} threads, {facts['date']}")
    for peak in peaks:
        tell(f"measured peak: {peak.gflops:.0f} GFLOP/s {peak.dtype}, copy {peak.copy_gbytes:.0f} GB/s")
    if load:
        tell(f"beside {beside(load)}, which rested while the peak was measured")
    tell(", ".join(f"{name} {version}" for name, version in facts["versions"].items()))


def beside(load: int) -> str:
    """The load in words.

    >>> beside(2)
    '2 busy processes (--load 2)'
    """
    return f"{load} busy process{'es' if load > 1 else ''} (--load {load})"


def show_rows(rows: Sequence[Row], rivals: Sequence[Rival], title: str = "") -> None:
    """The table of a suite and its geometric means."""
    from ..measure import summary

    tell(f"\n{title}" if title else "")
    seen = [rival.name for rival in rivals if any(row.best(rival.name) for row in rows)]
    unit = _unit(rows)
    show_table(_columns(seen, unit), [line for row in rows for line in _lines(row, seen, unit)])
    for method, ratios in summary(rows).items():
        for rival, mean in ratios.items():
            tell(
                f"{method}: {mean['minimum']:.2f}× {rival} (by median {mean['median']:.2f}×, "
                f"least {mean['least']:.2f}×), geometric mean over {mean['rows']}"
            )


def show_foot(row: Row, rivals: Iterable[Rival]) -> None:
    """What a ratio is, and the command of the first row."""
    tell(f"\n× is the rival's time / ours. To measure a problem again: {row.command(r.name for r in rivals)}")


def _unit(rows: Sequence[Row]) -> str:
    """Milliseconds, or microseconds where no call of ours takes a millisecond."""
    times = [entry.timing.minimum for row in rows for entry in row.ours.values() if entry.timing]
    return "µs" if times and max(times) < 1e-3 else "ms"


def _columns(rivals: list[str], unit: str) -> list[Column]:
    columns = [
        Column("layer", text=True),
        Column("problem", text=True, spare=9),
        Column("layout", text=True, spare=5),
        Column("method", text=True),
        Column(f"min {unit}"),
        Column("median", spare=6),
        Column("±", spare=7),
        Column("speed"),
        Column("of peak", spare=3),
    ]
    for rival in rivals:
        columns += [Column(f"{rival} {unit}", spare=4), Column(f"× {rival}"), Column("by median", spare=8)]
    return columns


def _lines(row: Row, rivals: list[str], unit: str) -> list[list[str]]:
    """One line for each method that was timed; "auto" and the method it chose share theirs."""
    lines = []
    shown: set[str] = set()
    for method, entry in row.ours.items():
        if entry.variant in shown:
            continue
        shown.add(entry.variant)
        name = f"auto: {entry.variant}" if method == "auto" else method
        line = [row.problem.label, str(row.problem), row.problem.layout, name, *_figures(row, entry, unit)]
        for rival in rivals:
            best, ratio = row.best(rival), row.ratio(method, rival)
            by_median = row.ratio(method, rival, "median")
            seconds = best.timing.minimum if best and best.timing else None
            line += ["-" if seconds is None else _time(seconds, unit), _times(ratio), _times(by_median)]
        lines.append(line)
    return lines


def _figures(row: Row, entry: Entry, unit: str) -> list[str]:
    if entry.timing is None:
        return ["-", "-", "-", "n/a", "-"]
    speed, speed_unit = row.speed(entry)
    fraction = row.fraction(entry)
    return [
        _time(entry.timing.minimum, unit),
        _time(entry.timing.median, unit),
        f"{entry.timing.spread:.0%}",
        f"{speed:.{0 if speed >= 10 else 1}f} {speed_unit}",
        "-" if fraction is None else f"{fraction:.0%}",
    ]


def _time(seconds: float, unit: str) -> str:
    value = seconds * (1e6 if unit == "µs" else 1e3)
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def complain(rows: Iterable[Row]) -> bool:
    """Tell of wrong results and of methods that could not serve; True where fastconv was wrong."""
    failed = False
    for row in rows:
        for entry in row.wrong:
            failed = failed or entry.who == "fastconv"
            say(f"{row.problem}: {entry.who} {entry.variant}: {entry.note}, tolerance {row.tolerance:.3g}; not timed")
        for entry in row.ours.values():
            if entry.note and entry not in row.wrong:
                say(f"{row.problem}: {entry.note}")
    return failed


def warn_of_others(what: str, disturbances: Iterable[float | None]) -> None:
    """A word where other processes may have slowed down a measurement."""
    busy = [fraction for fraction in disturbances if fraction is not None and fraction > BUSY]
    if busy:
        say(f"Other processes used up to {max(busy):.0%} of the machine while {what}: take the figures with care.")
