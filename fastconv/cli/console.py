"""How the commands speak: data on standard output, messages on standard error, tables that fit where they go.

On a terminal a table is drawn by rich (which respects ``NO_COLOR``); elsewhere it is plain aligned text.
"""

from __future__ import annotations

import itertools
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import streams
from ..errors import FastconvError
from ..files import check_writable, display, json_text, write_text
from ..streams import Tolerant, put

JSON_HELP = "Also write everything as JSON to this file; - writes it to standard output in place of the table."


class OutputLost(FastconvError, OSError):
    """Standard output takes nothing any more: its reader has gone, or its device is full."""

    def __init__(self, cause: Exception) -> None:
        reason = getattr(cause, "strerror", None) or cause
        super().__init__(f"standard output cannot be written: {reason}")
        self.reader_gone = isinstance(cause, BrokenPipeError)


def on_terminal(stream: Any = None) -> bool:
    """Whether a stream (default: standard output) is a terminal that can show more than plain text."""
    return Tolerant(sys.stdout if stream is None else stream).isatty() and os.environ.get("TERM") != "dumb"


def say(message: str = "") -> None:
    """A message for the user, on standard error; lost where that is lost."""
    put(sys.stderr, message + "\n")


def tell(text: str) -> None:
    """What a command was asked for, on standard output; OutputLost if it cannot be had there."""
    error = streams.print_line(text)
    if error is not None:
        raise OutputLost(error)


def command_line() -> str:
    """The command as it was given, whatever bytes the names in it are made of."""
    return display(shlex.join(["fastconv", *sys.argv[1:]]))


@dataclass(frozen=True)
class Column:
    """A column of a table; figures stand to the right. A narrow terminal drops those of the highest `spare` first.

    0 is never dropped; columns with one `spare`, such as those of several rivals, go together.
    """

    name: str
    text: bool = False
    spare: int = 0


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table to standard output."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in [[c.name for c in columns], *rows]) for i in range(len(columns))]
    if on_terminal():
        _show_rich_table(columns, rows, widths)
        return
    lines = []
    for row in [[column.name for column in columns], *rows]:
        cells = (t.ljust(w) if c.text else t.rjust(w) for t, w, c in zip(row, widths, columns, strict=True))
        lines.append("  ".join(cells).rstrip())
    tell("\n".join(line for line in lines if line))


def _show_rich_table(columns: Sequence[Column], rows: list[Sequence[str]], widths: list[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shown = list(range(len(columns)))
    while sum(widths[i] + 2 for i in shown) + 2 > console.width and (most := max(columns[i].spare for i in shown)):
        shown = [i for i in shown if columns[i].spare < most]
    headed = any(column.name for column in columns)
    table = Table(box=box.SIMPLE_HEAD if headed else None, show_header=headed, pad_edge=headed)
    for i in shown:
        table.add_column(columns[i].name, justify="left" if columns[i].text else "right", overflow="fold")
    for row in rows:
        table.add_row(*[_literal(row[i]) for i in shown])
    with console.capture() as captured:
        console.print(table)
    tell(captured.get().removesuffix("\n"))


def _literal(text: str) -> Any:
    from rich.text import Text

    return Text(text)  # brackets in a problem's name are no markup


@contextmanager
def progress(total: int, unit: str) -> Any:
    """Announce the steps of a long command on standard error: a moving line on a terminal, else a line a step."""
    if not on_terminal(sys.stderr):
        steps = itertools.count(1)
        yield lambda text: say(f"[{next(steps)}/{total}] {text}")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    text = TextColumn("{task.fields[text]}", markup=False)
    with progress_bar(TextColumn(unit), BarColumn(), MofNCompleteColumn(), text) as bar:
        task = bar.add_task(unit, total=total, text="")
        begun = itertools.count()
        yield lambda text: bar.update(task, completed=next(begun), text=text)


def progress_bar(*columns: Any) -> Any:
    """rich's moving line of these columns on standard error; what is said meanwhile stays above it."""
    from rich.console import Console
    from rich.progress import Progress

    stream: Any = Tolerant(sys.stderr)
    return Progress(*columns, console=Console(file=stream, highlight=False), transient=True, redirect_stdout=False)


def write_json(data: Any, target: str) -> None:
    """Write JSON to a file (whole or not at all) or, for "-", to standard output."""
    text = json_text(data)
    if target == "-":
        tell(text.removesuffix("\n"))
    else:
        write_text(target, text)


def check_target(target: str | None) -> None:
    """Fail now, not after the work, if the file of an option cannot be written."""
    if target not in (None, "-"):
        check_writable(str(target))
