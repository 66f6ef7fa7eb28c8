"""Files that are whole or not there, and JSON and CSV that every reader takes.

A file is written under a temporary name, ``.<16 hex digits>.fastconv.tmp`` in the same folder, and renamed once it is
on the disk. A process that is killed leaves the temporary file behind; the next one that writes into the folder takes
it away. The writer holds a lock on it, which ends with its process, so a file that is being written is left alone.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from .errors import DataUnavailable

try:
    import fcntl
except ImportError:  # Windows: no locks of this kind, and leftovers are left alone
    fcntl = None  # type: ignore[assignment]

LONGEST = 200  # characters of a path in a message
LEFTOVER = re.compile(r"\.[0-9a-f]{16}\.fastconv\.tmp")


def write_file(path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Let `write` fill a file that takes the place of `path` once it is whole: nobody ever sees half a file.

    A link stays, and the file it names is replaced; a device or a pipe is written to as it is.

    Raises
    ------
    DataUnavailable
        The folder is missing or may not be written to, or the disk is full: what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_file(Path(folder) / "greeting", lambda file: file.write(b"hello"))
    ...     (Path(folder) / "greeting").read_text()
    'hello'
    """
    with writing(path):
        if _is_special(path):
            with open(path, "wb") as file:
                write(file)
        else:
            _replace(Path(os.path.realpath(path)), write)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """`write_file` of a text, in UTF-8."""
    data = text.encode()
    write_file(path, lambda file: file.write(data))


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise now what `write_file` would raise after the work, as far as that can be known."""
    with writing(path):
        if os.path.isdir(path):
            raise OSError("it is a folder")
        with suppress(FileNotFoundError):
            os.stat(path)  # too long a name, a circle of links
        if not _is_special(path):
            file, temporary = _new_file(Path(os.path.realpath(path)).parent)
            file.close()
            temporary.unlink()


@contextmanager
def writing(path: str | os.PathLike[str], *more: type[Exception]) -> Iterator[None]:
    """Where a file is written: errors of the system, and those of kinds `more`, become one `DataUnavailable`."""
    try:
        yield
    except (OSError, *more) as error:  # type: ignore[misc]
        reason = getattr(error, "strerror", None) or error
        raise DataUnavailable(
            f"{brief(path)} cannot be written: {reason}; choose another place, or make room in its folder"
        ) from error


def display(path: str | os.PathLike[str]) -> str:
    r"""A path as text that can be printed and encoded, whatever bytes its name is made of.

    >>> display("runs/caf\udce9")
    'runs/caf\\xe9'
    """
    text = os.fspath(path)
    try:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode()


def brief(path: str | os.PathLike[str]) -> str:
    """A path as a part of a message: one line, and of a long one the beginning and the end.

    >>> brief("a" * 4000 + "/weights.npz")[-20:]
    'aaaaaaaa/weights.npz'
    """
    text = display(path).replace("\n", "\\n")
    return text if len(text) <= LONGEST else f"{text[:60]}...{text[-(LONGEST - 63) :]}"


def json_text(data: Any) -> str:
    """JSON by the standard: numbers that are not finite become null, paths and undecodable names become plain text.

    >>> json_text({"loss": [0.5, math.nan]})
    '{\\n  "loss": [\\n    0.5,\\n    null\\n  ]\\n}\\n'
    """
    return json.dumps(_standard(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(rows: Iterable[Iterable[Any]], separator: str = ",") -> str:
    r"""Rows as CSV; numbers that are not finite are nan and inf.

    >>> csv_text([("epoch", "loss"), (1, 0.5)])
    'epoch,loss\r\n1,0.5\r\n'
    """
    table = io.StringIO(newline="")
    csv.writer(table, delimiter=separator).writerows(rows)
    return table.getvalue()


def _standard(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {_standard(key): _standard(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_standard(item) for item in data]
    if isinstance(data, (str, os.PathLike)):
        return display(data)
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _is_special(path: str | os.PathLike[str]) -> bool:
    """Whether a device or a pipe stands under this name."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    _clear(str(path.parent))
    file, temporary = _new_file(path.parent)
    try:
        with file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:
                os.replace(temporary, path)  # while the lock is held: nobody takes it for a leftover
        if fcntl is None:
            os.replace(temporary, path)  # Windows renames closed files only
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _new_file(folder: Path) -> tuple[IO[bytes], Path]:
    """A locked temporary file; another name if somebody cleared the first away in the moment before it was locked."""
    while True:
        path = folder / f".{secrets.token_hex(8)}.fastconv.tmp"
        file = open(path, "xb")  # noqa: SIM115  the caller closes it
        if _lock(file.fileno()) is not False and os.fstat(file.fileno()).st_nlink:
            return file, path
        file.close()


def _lock(handle: int) -> bool | None:
    """Lock an open file: True, or False if another process has it, or None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def lock_folder(folder: Path) -> int | None:
    """Keep other processes from locking this folder as well, until this one ends or closes the handle it gets.

    Returns None where folders cannot be locked; a BlockingIOError says that another process has it.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    if _lock(handle) is False:
        os.close(handle)
        raise BlockingIOError
    return handle


@lru_cache(256)  # once a process: it leaves nothing behind itself
def _clear(folder: str) -> None:
    """Take away what writers that were killed left in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if LEFTOVER.fullmatch(entry.name)]:
            with suppress(OSError):
                _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(path: str) -> None:
    handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if _lock(handle):
            os.unlink(path)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Put the rename on the disk too, so that files written one after the other are kept in this order."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):  # not every file system can
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
