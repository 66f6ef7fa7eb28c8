"""What a benchmark prints: what was measured on, a table for each suite, and what its ratios come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .bench_steps import Findings, title
from .console import Column, say, show_table, tell

if TYPE_CHECKING:
    from ..measure import Entry, Rival, Row
    from ..measure.kernels import KernelRow
    from ..measure.replaced import CallRow
    from ..measure.rows import Contest
    from ..measure.training import TrainingRow


def show(found: Findings, facts: dict[str, Any], rivals: Sequence[Rival]) -> None:
    """Everything that was found: the machine, and the table of each suite."""
    _show_head(found, facts)
    for name, part in found.parts.items():
        heading = title(name, found.parts)
        tell(f"\n{heading}" if heading else "")
        if name == "kernel":
            _show_kernels(part)
            continue
        seen = _seen(part, rivals)
        if name == "train":
            _show_training(part, seen)
        elif name == "scipy":
            _show_calls(part, seen)
        else:
            unit, several = _unit(part), len({row.problem.layout for row in part}) > 1
            lines = [line for row in part for line in _lines(row, seen, unit)]
            show_table(_columns(seen, unit, several), lines)
        _show_means(part)
    if found.rows or found.parts.get("train") or found.parts.get("scipy"):
        _show_foot(found, rivals)


def _show_foot(found: Findings, rivals: Sequence[Rival]) -> None:
    """What a ratio is, whose weights were packed before, and how to measure the first problem again."""
    rows = found.rows
    tell("\n× is the rival's time / ours.")
    packed = [name for name in _seen(rows, rivals) if any(_packed(row, name) for row in rows)]
    if packed:
        tell(f"Packed weights before, as a plan does, and compared with plan only: {', '.join(packed)}.")
    if rows:
        tell(f"To measure a problem again: {rows[0].command(_seen(rows, rivals))}")


def _packed(row: Row, rival: str) -> bool:
    best = row.best(rival)
    return best is not None and best.prepared


def _show_head(found: Findings, facts: dict[str, Any]) -> None:
    """The machine, how fast it can be, and what else it had to do."""
    machine = facts["machine"]
    tell(f"{machine['processor']}, {machine['instruction_set']}, {facts['threads']} threads, {facts['date']}")
    for peak in found.peaks.values():
        tell(f"measured peak: {peak.gflops:.0f} GFLOP/s {peak.dtype}, copy {peak.copy_gbytes:.0f} GB/s")
    if found.load:
        rested = ", which rested while the peak was measured" if found.peaks else ""
        tell(f"beside {beside(found.load)}{rested}")
    tell(", ".join(f"{name} {version}" for name, version in facts["versions"].items()))


def _seen(rows: Sequence[Contest], rivals: Sequence[Rival]) -> list[str]:
    """The rivals that took part."""
    return [rival.name for rival in rivals if any(row.best(rival.name) for row in rows)]


def beside(load: int) -> str:
    """The load in words.

    >>> beside(2)
    '2 busy processes (--load 2)'
    """
    return f"{load} busy process{'es' if load > 1 else ''} (--load {load})"


def _show_means(rows: Sequence[Contest]) -> None:
    from ..measure import summary

    for method, ratios in summary(rows).items():
        for rival, mean in ratios.items():
            tell(
                f"{method}: {mean['minimum']:.2f}× {rival} (by median {mean['median']:.2f}×, "
                f"least {mean['least']:.2f}×), geometric mean over {mean['rows']}"
            )


def _show_kernels(rows: Sequence[KernelRow]) -> None:
    """A line for each function and cache, with the speed in each dtype."""
    dtypes = list(dict.fromkeys(row.dtype for row in rows))
    lines: dict[tuple[str, str, str], dict[str, KernelRow]] = {}
    for row in rows:
        lines.setdefault((row.group, row.name, row.place), {})[row.dtype] = row
    columns = [Column("kernel", text=True), Column("", text=True), Column("in", text=True)]
    for dtype in dtypes:
        columns += [Column(dtype), Column("of peak"), Column("±", spare=5)]
    columns.append(Column("unit", text=True, spare=2))
    table = []
    for names, found in lines.items():
        line = list(names)
        for dtype in dtypes:
            line += _kernel_figures(found.get(dtype))
        table.append([*line, next(iter(found.values())).unit])
    show_table(columns, table)
    for dtype in dtypes:
        peaks = {row.unit: row.peak for row in rows if row.dtype == dtype and row.timing}
        tell(f"measured peak of one thread, {dtype}: {', '.join(f'{v:.0f} {unit}' for unit, v in peaks.items())}")
    tell("GB/s: read and written, of a copy within L1. fft counts 5 n log2 n, of which it saves some.")


def _kernel_figures(row: KernelRow | None) -> list[str]:
    if row is None or row.timing is None:
        return ["n/a" if row else "-", "-", "-"]
    return [f"{row.speed:.1f}", f"{row.fraction:.0%}", f"{row.timing.spread:.0%}"]


def _show_training(rows: Sequence[TrainingRow], rivals: Sequence[str]) -> None:
    columns = [Column("model", text=True), Column("step", text=True), Column("images", spare=6)]
    columns += [Column("min ms"), Column("median", spare=5), Column("±", spare=7), Column("images/s")]
    for rival in rivals:
        columns += [Column(f"{rival} ms", spare=4), Column("its way", text=True, spare=9), Column(f"× {rival}")]
        columns.append(Column("by median", spare=8))
    table = []
    for row in rows:
        ours = row.ours[row.work]
        line = [row.model, row.work, str(row.batch), *_training_figures(row, ours)]
        for rival in rivals:
            best = row.best(rival)
            line += [_time(best.timing.minimum, "ms"), best.variant] if best and best.timing else ["-", "-"]
            line += [_times(row.ratio(row.work, rival)), _times(row.ratio(row.work, rival, "median"))]
        table.append(line)
    show_table(columns, table)


def _training_figures(row: TrainingRow, entry: Entry) -> list[str]:
    if entry.timing is None:
        return ["-", "-", "-", "n/a"]
    times = [_time(getattr(entry.timing, figure), "ms") for figure in ("minimum", "median")]
    return [*times, f"{entry.timing.spread:.0%}", f"{row.speed(entry):,.0f}"]


def _show_calls(rows: Sequence[CallRow], rivals: Sequence[str]) -> None:
    """In microseconds: many of these calls are small."""
    columns = [Column("function", text=True), Column("arguments", text=True), Column("dtype", text=True, spare=6)]
    columns += [Column("min µs"), Column("median", spare=5), Column("±", spare=7)]
    for rival in rivals:
        columns += [Column(f"{rival} µs", spare=4), Column(f"× {rival}"), Column("by median", spare=8)]
    table = []
    for row in rows:
        ours = row.ours["auto"].timing
        line = [row.call.function, row.call.sizes, row.dtype]
        times = [_time(getattr(ours, figure), "µs") for figure in ("minimum", "median")] if ours else ["-", "-"]
        line += [*times, f"{ours.spread:.0%}" if ours else "n/a"]
        for rival in rivals:
            best = row.best(rival)
            line.append(_time(best.timing.minimum, "µs") if best and best.timing else "-")
            line += [_times(row.ratio("auto", rival)), _times(row.ratio("auto", rival, "median"))]
        table.append(line)
    show_table(columns, table)


def _unit(rows: Sequence[Row]) -> str:
    """Milliseconds, or microseconds where no call of ours takes a millisecond."""
    times = [entry.timing.minimum for row in rows for entry in row.ours.values() if entry.timing]
    return "µs" if times and max(times) < 1e-3 else "ms"


def _columns(rivals: list[str], unit: str, layouts: bool) -> list[Column]:
    """Those of a table; where it has several `layouts`, they are needed to tell its lines apart."""
    columns = [
        Column("layer", text=True),
        Column("problem", text=True, spare=9),
        Column("layout", text=True, spare=0 if layouts else 5),
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


def complain(found: Findings) -> None:
    """Tell of wrong results and of what could not serve."""
    for row in found.rows:
        for entry in row.wrong:
            say(f"{row.problem}: {entry.who} {entry.variant}: {entry.note}, tolerance {row.tolerance:.3g}; not timed")
        for entry in row.ours.values():
            if entry.note and entry not in row.wrong:
                say(f"{row.problem}: {entry.note}")
    for kernel in found.parts.get("kernel", []):
        if kernel.timing is None:
            say(f"{kernel.group} {kernel.name}, {kernel.dtype}: wrong result (error {kernel.error:.3g}); not timed")
    for row in found.parts.get("scipy", []):
        for entry in row.wrong:
            say(f"{row.call}, {row.dtype}: {entry.who}: {entry.note}, tolerance {row.tolerance:.3g}; not timed")
    for model in found.parts.get("train", []):
        for entry in [e for others in model.rivals.values() for e in others if e.note and model.work == "train"]:
            say(f"model {model.model}: {' '.join(filter(None, (entry.who, entry.variant)))}: {entry.note}; not timed")


def warn_of_others(what: str, disturbances: Iterable[float | None]) -> None:
    """A word where other processes may have slowed down a measurement."""
    from ..measure.timing import QUIET

    busy = [fraction for fraction in disturbances if fraction is not None and fraction > QUIET]
    if busy:
        say(f"Other processes used up to {max(busy):.0%} of the machine while {what}: take the figures with care.")
