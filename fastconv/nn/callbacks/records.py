"""Callbacks that write down what happens."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ...files import csv_text, writing
from .. import arguments
from .base import Callback, Logs


class History(Callback):
    """Lists of the epochs' logs; `fit` returns one.

    Attributes
    ----------
    epoch : list of int
    history : dict of lists
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)


class CSVLogger(Callback):
    """Write each epoch's logs as a row of a CSV file.

    Parameters
    ----------
    filename : path
    separator : str
    append : bool
        Whether to continue the file instead of starting anew.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        self.filename = arguments.path(self, "filename", filename)
        self.separator, self.append = separator, arguments.flag(self, "append", append)
        try:
            csv_text((), separator)
        except (TypeError, ValueError):
            raise arguments.wrong(self, "separator", separator, "one character, such as ','") from None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.keys: list[str] | None = None
        if self.append and self.filename.exists():
            with self._open("r+") as file:
                text = file.read()
                whole = text[: text.rfind("\n") + 1]  # a writer that was killed may have left half a row
                if whole != text:
                    file.seek(0)
                    file.write(whole)
                    file.truncate()
            header = next(csv.reader(whole.splitlines(), delimiter=self.separator), None)
            self.keys = header[1:] if header else None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        with self._open("w" if self.keys is None else "a") as file:
            header = [] if self.keys is not None else [("epoch", *logs)]
            self.keys = list(logs) if self.keys is None else self.keys
            row = (epoch, *(logs.get(key, "") for key in self.keys))
            file.write(csv_text([*header, row], self.separator))

    @contextmanager
    def _open(self, mode: str) -> Iterator[IO[str]]:
        """The file; what is wrong with it is a `DataUnavailable`."""
        with (
            writing(self.filename, UnicodeDecodeError, csv.Error),
            open(self.filename, mode, newline="", encoding="utf-8") as file,
        ):
            yield file
