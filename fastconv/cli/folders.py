"""Folders that a command fills: never mixed with what an earlier run left there, and gone if nothing came of it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ..errors import FastconvError, InvalidArgument
from ..files import brief, check_writable, lock_folder, writing


class Folder:
    """A folder that is made and tried before anything else happens, and taken away again if nothing was saved.

    Parameters
    ----------
    path : Path
    files : iterable of str
        Names of what the command may write; those that are there already are its earlier run.
    refusal : str
        What an earlier run is and what may be done about it: ends the message of its refusal.
    keep, replace : bool
        What to do with an earlier run: go on with it, or take it away as soon as there is something new. Without
        either it is refused.
    numbered : bool
        Whether to take another name, with a number, where something is there.
    """

    def __init__(
        self,
        path: Path,
        files: Iterable[str],
        refusal: str,
        *,
        keep: bool = False,
        replace: bool = False,
        numbered: bool = False,
    ) -> None:
        self.saved: list[str] = []
        self._replace = replace
        self._above = [folder for folder in path.parents if not folder.exists()]  # the innermost first
        self.path, self._made = _make(path, numbered)
        try:
            self._lock = lock_folder(self.path)
        except BlockingIOError:
            raise InvalidArgument(
                f"--out {brief(self.path)} is in use by another run; wait for it, or choose another folder"
            ) from None
        except OSError as error:
            raise _not_usable(self.path, error) from error
        files = list(files)
        self.held = [name for name in files if os.path.lexists(self.path / name)]
        try:
            if self.held and not (keep or replace):
                raise InvalidArgument(f"--out {brief(self.path)} holds {refusal.format(', '.join(self.held))}")
            check_writable(self.path / files[0])
        except FastconvError:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._made and not self.saved:
            with suppress(OSError):  # what another process put there stays
                for folder in (self.path, *self._above):
                    folder.rmdir()
        if self._lock is not None:
            os.close(self._lock)

    def save(self, name: str, write: Callable[[Path], Any]) -> None:
        """Let `write` make the file of this name; the first one takes an earlier run away that is to be replaced."""
        if self._replace and not self.saved:
            for old in self.held:  # nothing of the old run stays beside the new one
                with writing(self.path / old):
                    (self.path / old).unlink(missing_ok=True)
        write(self.path / name)
        if name not in self.saved:
            self.saved.append(name)


def _make(path: Path, numbered: bool) -> tuple[Path, bool]:
    """The folder, and whether it was made just now."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            chosen = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                chosen.mkdir()
                return chosen, True
            except FileExistsError:
                if not numbered:
                    chosen.mkdir(exist_ok=True)  # an error unless it is a folder
                    return chosen, False
    except OSError as error:
        raise _not_usable(path, error) from error
    raise AssertionError("counting has no end")


def _not_usable(path: Path, error: OSError) -> InvalidArgument:
    reason = "a file of that name is there" if isinstance(error, FileExistsError) else error.strerror
    return InvalidArgument(f"the folder {brief(path)} cannot be made or opened: {reason}; choose another one")
