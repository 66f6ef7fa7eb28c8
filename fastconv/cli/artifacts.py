"""What a training run leaves behind, each file written whole or not at all."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FastconvError, InvalidArgument
from ..files import brief, check_writable, csv_text, json_text, lock_folder, write_text, writing
from ..show import figures
from ..show.confusion import draw_confusion_matrix
from ..show.learning_curve import draw_learning_curve
from .console import say

MATPLOTLIB_MISSING = "matplotlib is not installed, so no pictures were drawn: pip install 'fastconv[plots]'"
WEIGHTS, STATE, RECORD, HISTORY, TABLE = "weights.npz", "state.npz", "run.json", "history.json", "history.csv"
CURVE, MATRIX = "learning-curve.png", "confusion-matrix.png"
FILES = (WEIGHTS, STATE, RECORD, HISTORY, TABLE, CURVE, MATRIX)
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


class OutputFolder:
    """The folder of a run: made and tried before anything else happens, taken away again if nothing came of it.

    Parameters
    ----------
    path : Path
    resume, overwrite : bool
        What to do with a run that is there already: go on with it, or replace it as soon as there is something new.
        Without either it is refused.
    numbered : bool
        Whether to take another name, with a number, where something is there.
    """

    def __init__(self, path: Path, resume: bool = False, overwrite: bool = False, numbered: bool = False) -> None:
        self.saved: list[str] = []
        self._overwrite = overwrite
        self.path, self._made = _make(path, numbered)
        try:
            self._lock = lock_folder(self.path)
        except BlockingIOError:
            raise InvalidArgument(
                f"--out {brief(self.path)} is in use by another run; wait for it, or choose another folder"
            ) from None
        except OSError as error:
            raise _not_usable(self.path, error) from error
        self.held = [name for name in FILES if os.path.lexists(self.path / name)]
        try:
            if self.held and not (resume or overwrite):
                raise InvalidArgument(
                    f"--out {brief(self.path)} holds a run already ({', '.join(self.held)}); choose another folder, "
                    "go on with that run by --resume, or replace it by --overwrite"
                )
            check_writable(self.path / WEIGHTS)
        except FastconvError:
            self.__exit__()
            raise

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._made and not self.saved:
            with suppress(OSError):  # what another process put there stays
                self.path.rmdir()
        if self._lock is not None:
            os.close(self._lock)

    def weights(self, model: Any) -> None:
        """weights.npz, for ``model.load_weights``."""
        self._save(WEIGHTS, model.save_weights)

    def state(self, model: Any) -> None:
        """state.npz, for ``model.load_state``: what --resume goes on from."""
        self._save(STATE, model.save_state)

    def drop_state(self) -> None:
        """Take state.npz away: the run is finished."""
        with suppress(OSError):
            (self.path / STATE).unlink(missing_ok=True)
        self.saved = [name for name in self.saved if name != STATE]

    def history(self, figures: Mapping[str, Sequence[float]]) -> None:
        """history.json (Keras's form, a list for each figure) and history.csv (a line for each epoch).

        A figure that is no finite number is null in JSON, and nan or inf in CSV.
        """
        figures = figures or dict.fromkeys(FIGURES, ())
        self.json(HISTORY, figures)
        table = csv_text([("epoch", *figures), *zip(itertools.count(1), *figures.values(), strict=False)])
        self._save(TABLE, lambda path: write_text(path, table))

    def json(self, name: str, data: Any) -> None:
        """Any JSON file."""
        self._save(name, lambda path: write_text(path, json_text(data)))

    def pictures(
        self, title: str, curves: Mapping[str, Sequence[float]], counts: np.ndarray | None, names: Any
    ) -> None:
        """learning-curve.png and, where the test was done, confusion-matrix.png; a word where matplotlib is missing."""
        if not figures.available():
            say(MATPLOTLIB_MISSING)
            return
        try:
            if curves:
                self._figure(CURVE, draw_learning_curve(curves, title))
            if counts is not None:
                total = int(counts.sum())
                right = f"{title}: {np.trace(counts) / max(1, total):.1%} of {total:,} test images right"
                self._figure(MATRIX, draw_confusion_matrix(counts, names, right))
        except FastconvError:
            raise
        except Exception as error:  # of matplotlib: an installation that is not whole, fonts, settings
            say(f"No pictures were drawn: {type(error).__name__}: {error}")

    def _figure(self, name: str, figure: Any) -> None:
        self._save(name, lambda path: figures.save_figure(figure, path))

    def _save(self, name: str, write: Callable[[Path], Any]) -> None:
        if self._overwrite and not self.saved:
            for old in self.held:  # nothing of the old run stays beside the new one
                with writing(self.path / old):
                    (self.path / old).unlink(missing_ok=True)
        write(self.path / name)
        if name not in self.saved:
            self.saved.append(name)


class NoFolder:
    """In place of an `OutputFolder`, for a process that leaves nothing behind: the one beside it does.

    Parameters
    ----------
    path : Path
        Of the other's folder.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.saved = path, ()

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_") or not hasattr(OutputFolder, name):
            raise AttributeError(name)
        return lambda *given: None


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
    return InvalidArgument(f"--out {brief(path)} cannot be made or opened: {error.strerror}; choose another folder")
