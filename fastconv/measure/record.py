"""What a machine measured, kept as Markdown: a file for each machine, and a table of them all in the README.

`written` makes a file of the rows of all suites. Its table of means is read back by `machines_table`, so that the
README says nothing that the files do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument, shown
from ..files import check_writable, display, write_text, writing
from .kernels import KernelRow
from .machine import Peaks
from .means import means, rivals_of
from .replaced import CallRow
from .rows import Entry, Row
from .timing import QUIET
from .training import TrainingRow

CHECKOUT = Path(__file__).parent.parent.parent
FOLDER, README = CHECKOUT / "docs" / "measured", CHECKOUT / "README.md"
BEGIN, END = "<!-- machines: made of docs/measured by bench/machines.py -->", "<!-- /machines -->"
#: Of each suite's means the one that the README shows; of other suites that of "auto".
SHOWN = {"kernel": "tile", "train": "train"}
BEGINNINGS = {"train": "model batch", "scipy": "function arguments dtype"}  # the first columns of a suite's table
FEW = 0.05  # of the measurements may be disturbed before a machine is called busy

AUTO = "auto"
_TITLE = re.compile(r"# (.+)\n\nMeasured (\S+)( on a busy machine)? by ")
_MEAN = re.compile(r"^\| (\w+) \| ([\w ]+) \| \d+ \| ([\d.]+) \| ([\d.]+) \| .+ \|$", re.MULTILINE)


def check_folder(given: str) -> Path:
    """The folder for --save, made now; "" stands for that of the checkout. Raises where nothing could be kept there."""
    if not given and not (README.is_file() and (CHECKOUT / "pyproject.toml").is_file()):
        raise InvalidArgument("--save needs a folder where fastconv is not run from a checkout: --save DIR")
    folder = Path(given) if given else FOLDER
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder / "machine.md")
    if not given:
        check_writable(README)
        _around(README)
    return folder


def save(folder: Path, text: str, environment: Mapping[str, Any]) -> list[Path]:
    """Write the file of this machine in place of an earlier one; in the checkout's folder also the README's table."""
    target = folder / f"{slug(environment)}.md"
    write_text(target, text)
    return [target, *([renew()] if folder == FOLDER else [])]


def slug(environment: Mapping[str, Any]) -> str:
    """The name of a machine's file: its processor, what code is compiled for, its threads.

    >>> machine = {"processor": "Intel(R) Xeon(R) CPU @ 2.0GHz", "compiled_for": "skylake-avx512"}
    >>> slug({"machine": machine, "threads": 4})
    'intel-r-xeon-r-cpu-2-0ghz-skylake-avx512-4-threads'
    """
    machine = environment["machine"]
    words = f"{machine['processor']} {machine['compiled_for']} {environment['threads']} threads"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def written(
    command: str,
    environment: Mapping[str, Any],
    peaks: Iterable[Peaks],
    parts: Mapping[str, Sequence[Any]],
    disturbances: Iterable[float | None],
) -> str:
    """The file of a machine."""
    machine, known = environment["machine"], [fraction for fraction in disturbances if fraction is not None]
    disturbed = sum(fraction > QUIET for fraction in known)
    busy = " on a busy machine" if disturbed > FEW * len(known) else ""
    others = f"more than {QUIET:.0%} of the machine in {disturbed} of {len(known)} measurements"
    peak = "; ".join(f"{p.dtype} {p.gflops:.0f} GFLOP/s, copy {p.copy_gbytes:.0f} GB/s" for p in peaks)
    lines = [
        f"# {_plain(machine['processor'])} ({machine['compiled_for']}), {environment['threads']} threads",
        "",
        f"Measured {environment['date'][:10]}{busy} by `{command}`, which writes this file.",
        "",
        f"- {machine['instruction_set']}, {machine['logical_processors']} logical processors, {machine['system']}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in environment['versions'].items())}",
        f"- measured peak: {peak}",
        f"- other processes used {others}",
        "",
        "Ratios are the rival's time / ours, by the least of many runs in turns; a mean takes a row's fastest rival.",
        "Rivals that pack weights before the call count against plan only. kernel: speed / the peak of one thread.",
        "",
        "## Means",
        "",
        *_table(["suite", "way", "rows", "mean", "least", "against"], _mean_lines(parts)),
    ]
    for suite, rows in parts.items():
        lines += ["", f"## {suite}", ""]
        if suite == "kernel":
            lines += _table(
                ["kernel", "name", "in", "dtype", "speed", "unit", "of_peak", "spread"], _kernel_lines(rows)
            )
        else:
            rivals = [name for name in rivals_of(rows) if any(row.best(name) for row in rows)]
            begin = BEGINNINGS.get(suite, "problem layout dtype")
            columns = [*begin.split(), "way", "min_ms", "median_ms", "spread"]
            columns += [column for name in rivals for column in (f"{name}_ms", f"×_{name}")]
            lines += _table(columns, (line for row in rows for line in _lines(row, rivals)))
    return "\n".join(lines) + "\n"


def _mean_lines(parts: Mapping[str, Sequence[Any]]) -> Iterator[list[str]]:
    for mean in means(parts):
        yield [mean.suite, mean.way, str(mean.rows), f"{mean.mean:.2f}", f"{mean.least:.2f}", mean.against]


def _kernel_lines(rows: Iterable[KernelRow]) -> Iterator[list[str]]:
    for row in rows:
        if row.timing is not None:
            figures = [f"{row.speed:.1f}", row.unit, f"{row.fraction:.0%}", f"{row.timing.spread:.0%}"]
            yield [row.group, row.name, row.place, row.dtype, *figures]


def _lines(row: Row | TrainingRow | CallRow, rivals: Sequence[str]) -> Iterator[list[str]]:
    """A line for each way that was timed."""
    for way, entry in row.ours.items():
        if entry.timing is None:
            continue
        if isinstance(row, TrainingRow):
            line = [row.model, str(row.batch), way]
        elif isinstance(row, CallRow):
            line = [row.call.function, _plain(row.call.sizes), row.dtype, way]
        else:
            name = f"{way}: {entry.variant}" if way == AUTO else entry.variant
            line = [str(row.problem), row.problem.layout, row.problem.spec.dtype, name]
        line += [_ms(entry), f"{entry.timing.median * 1e3:.4g}", f"{entry.timing.spread:.0%}"]
        for rival in rivals:
            best, ratio = row.best(rival), row.ratio(way, rival)
            line += [_ms(best) if best else "-", "-" if ratio is None else f"{ratio:.2f}"]
        yield line


def _ms(entry: Entry) -> str:
    return f"{entry.timing.minimum * 1e3:.4g}" if entry.timing else "-"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown; an underscore in a column's name is a space."""
    lines = [[name.replace("_", " ") for name in columns], ["---"] * len(columns), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _plain(text: str) -> str:
    """Text that is no markup in a table."""
    return text.replace("|", "/")


def machines_table(folder: Path) -> str:
    """The README's table: a line for each file of a folder, its suites' geometric means and least ratios.

    Raises
    ------
    InvalidArgument
        A file there is none that --save wrote.
    """
    machines: list[tuple[str, str, str, dict[str, str]]] = []
    for path in sorted(set(folder.glob("*.md")) - {folder / "index.md"}) if folder.is_dir() else []:
        text = path.read_text(encoding="utf-8")
        title = _TITLE.match(text)
        if title is None:
            raise InvalidArgument(f"{shown(display(path))} is no file that fastconv bench --save wrote; take it away")
        cells = {
            suite: f"{mean} ({least})"
            for suite, way, mean, least in _MEAN.findall(text)
            if way == SHOWN.get(suite, AUTO)
        }
        machines.append((title[1], title[2] + (", busy" if title[3] else ""), path.name, cells))
    machines = machines or [("none yet", "-", "", {})]
    suites = list(dict.fromkeys(suite for *_, cells in machines for suite in cells))
    lines = (
        [f"[{name}](docs/measured/{file})" if file else name, date, *(cells.get(suite, "-") for suite in suites)]
        for name, date, file, cells in machines
    )
    return "\n".join(_table(["machine", "date", *suites], lines))


def renew(readme: Path | None = None, folder: Path | None = None) -> Path:
    """Put the table of machines into the README (default: the checkout's), in place of the one that is there."""
    readme, folder = readme or README, folder or FOLDER
    before, after = _around(readme)
    write_text(readme, f"{before}{BEGIN}\n{machines_table(folder)}\n{END}{after}")
    return readme


def _around(readme: Path) -> tuple[str, str]:
    """What stands before and after the table of machines."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidArgument(f"{shown(display(readme))} has no place for the table of machines: {BEGIN} and {END}")
    return before, after
