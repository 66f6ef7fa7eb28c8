"""How the commands speak: data on standard output, messages on standard error, tables that fit where they go.

On a terminal a table is drawn by rich (which respects ``NO_COLOR``); elsewhere it is plain aligned text.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument

JSON_HELP = "Also write everything as JSON to this file; - writes it to standard output in place of the table."


def on_terminal(stream: Any = None) -> bool:
    """Whether a stream (default: standard output) is a terminal that can show more than plain text."""
    stream = sys.stdout if stream is None else stream
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


def say(message: str = "") -> None:
    """A message for the user, on standard error."""
    print(message, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Column:
    """A column of a table; figures stand to the right. A narrow terminal drops the highest `spare` first (0: never)."""

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
    for row in [[column.name for column in columns], *rows]:
        cells = (t.ljust(w) if c.text else t.rjust(w) for t, w, c in zip(row, widths, columns, strict=True))
        line = "  ".join(cells).rstrip()
        if line:
            print(line)


def _show_rich_table(columns: Sequence[Column], rows: list[Sequence[str]], widths: list[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shown = list(range(len(columns)))
    while sum(widths[i] + 2 for i in shown) + 2 > console.width and any(columns[i].spare for i in shown):
        shown.remove(max(shown, key=lambda i: columns[i].spare))
    headed = any(column.name for column in columns)
    table = Table(box=box.SIMPLE_HEAD if headed else None, show_header=headed, pad_edge=headed)
    for i in shown:
        table.add_column(columns[i].name, justify="left" if columns[i].text else "right", overflow="fold")
    for row in rows:
        table.add_row(*[_literal(row[i]) for i in shown])
    console.print(table)


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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=total, text="")
        begun = itertools.count()
        yield lambda text: bar.update(task, completed=next(begun), text=text)


def write_json(data: Any, target: str) -> None:
    """Write JSON to a file (whole or not at all) or, for "-", to standard output."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_file(Path(target), lambda path: path.write_text(text, encoding="utf-8"))


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: nobody ever sees half a file."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be written: {error.strerror}; choose another place") from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(target: str | None) -> None:
    """Fail now, not after the work, if a file cannot be written."""
    if target not in (None, "-"):
        path = Path(str(target))
        if path.is_dir():
            raise InvalidArgument(f"{path} is a folder; give the name of a file")
        write_file(path.parent / f".{path.name}.check", lambda _: None)
        (path.parent / f".{path.name}.check").unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
