"""What a training run leaves behind, each file written whole or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FastconvError, MissingExtra
from ..files import csv_text, json_text, write_text
from ..show import PICTURES as PICTURE_TABLE
from ..show import figures
from ..show.confusion import ClassFigures
from ..show.filters import has_filters
from ..show.subject import Subject
from .console import say
from .folders import Folder
from .report import report_page

MATPLOTLIB_MISSING = "matplotlib is not installed, so no pictures were drawn: pip install 'fastconv[plots]'"
WEIGHTS, STATE, RECORD, HISTORY, TABLE = "weights.npz", "state.npz", "run.json", "history.json", "history.csv"
BEST = "best.npz"
NETWORK, MODEL = "model.json", "model.keras"
CURVE, MATRIX = "learning-curve.png", "confusion-matrix.png"
FILTERS, MISTAKES = "filters.png", "misclassified.png"
CLASSES, REPORT = "class-table.csv", "report.html"
PICTURES = (CURVE, MATRIX, FILTERS, MISTAKES)
FILES = (WEIGHTS, NETWORK, MODEL, BEST, STATE, RECORD, HISTORY, TABLE, CLASSES, *PICTURES, REPORT)
REFUSAL = "a run already ({}); choose another folder, go on with that run by --resume, or replace it by --overwrite"
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


class OutputFolder(Folder):
    """The folder of a run.

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
        super().__init__(path, FILES, REFUSAL, keep=resume, replace=overwrite, numbered=numbered)

    def weights(self, model: Any) -> None:
        """weights.npz, for ``model.load_weights``, and what it is the weights of: model.json."""
        self.save(WEIGHTS, model.save_weights)
        self.save(NETWORK, lambda path: write_text(path, model.to_json(indent=1) + "\n"))

    def model(self, model: Any) -> None:
        """model.keras, for ``load_model``: layers and weights in one file; without h5py it is left out."""
        with suppress(MissingExtra):
            self.save(MODEL, lambda path: model.save(path, include_optimizer=False))

    def best(self, model: Any) -> None:
        """best.npz: the weights of the best epoch so far."""
        self.save(BEST, model.save_weights)

    def state(self, model: Any) -> None:
        """state.npz, for ``model.load_state``: what --resume goes on from."""
        self.save(STATE, model.save_state)

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
        self.save(TABLE, lambda path: write_text(path, table))

    def json(self, name: str, data: Any) -> None:
        """Any JSON file."""
        self.save(name, lambda path: write_text(path, json_text(data)))

    def classes(self, rows: Sequence[ClassFigures]) -> None:
        """class-table.csv: precision, recall, F1 and number of test images of each class."""
        text = csv_text([("class", "precision", "recall", "f1", "support"), *rows])
        self.save(CLASSES, lambda path: write_text(path, text))

    def pictures(self, title: str, subject: Subject, is_tested: bool) -> None:
        """Learning curve and filters and, where the test was done, confusion matrix and misclassified images.

        A word where matplotlib is missing; what a network has not, such as filters of images, is left out.
        """
        if not figures.available():
            say(MATPLOTLIB_MISSING)
            return
        try:
            for name, figure in drawn(title, subject, is_tested):
                self._figure(name, figure)
        except FastconvError:
            raise
        except Exception as error:  # of matplotlib: an installation that is not whole, fonts, settings
            say(f"No more pictures were drawn: {type(error).__name__}: {error}")

    def report(self, title: str, record: Mapping[str, Any], subject: Subject, is_tested: bool) -> None:
        """report.html: figures, pictures, classes, command and versions on one page that needs no other file."""
        pictures = {name: (self.path / name).read_bytes() for name in PICTURES if name in self.saved}
        page = report_page(title, record, subject, is_tested, pictures)
        self.save(REPORT, lambda path: write_text(path, page))

    def _figure(self, name: str, figure: Any) -> None:
        self.save(name, lambda path: figures.save_figure(figure, path))


def drawn(title: str, subject: Subject, is_tested: bool) -> Iterator[tuple[str, Any]]:
    """The pictures that a run can have, with their files' names."""
    if subject.history:
        yield CURVE, PICTURE_TABLE["learning-curve"].draw(subject, title=title)
    if has_filters(subject.model):
        yield FILTERS, PICTURE_TABLE["filters"].draw(subject)
    if is_tested:
        counts = subject.counts
        right = f"{title}: {np.trace(counts) / max(1, counts.sum()):.1%} of {counts.sum():,} test images right"
        yield MATRIX, PICTURE_TABLE["confusion-matrix"].draw(subject, title=right)
        if subject.images.ndim == 4:
            yield MISTAKES, PICTURE_TABLE["misclassified"].draw(subject)


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
