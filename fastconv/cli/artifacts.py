"""What a training run leaves behind, each file written whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from . import figures, plots
from .console import check_writable, say, write_file, write_json

MATPLOTLIB_MISSING = "matplotlib is not installed, so no pictures were drawn: pip install 'fastconv[plots]'"


class OutputFolder:
    """The folder of a run: made and tried before anything else happens, taken away again if nothing came of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved: list[Path] = []
        self._made = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidArgument(f"--out {path} cannot be made: {error.strerror}; choose another folder") from error
        check_writable(str(path / "weights.npz"))

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._made and not self.saved:
            with suppress(OSError):  # what another process put there stays
                self.path.rmdir()

    def weights(self, model: Any) -> None:
        """weights.npz, for ``model.load_weights``."""
        path = self.path / "weights.npz"
        model.save_weights(path)
        self.saved.append(path)

    def history(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """history.json (Keras's form, a list for each figure) and history.csv (a line for each epoch)."""
        names = list(epochs[0]) if epochs else ["loss", "accuracy", "val_loss", "val_accuracy"]
        self.json("history.json", {name: [epoch[name] for epoch in epochs] for name in names})

        def write(path: Path) -> None:
            with path.open("w", newline="", encoding="utf-8") as file:
                rows = csv.writer(file)
                rows.writerow(["epoch", *names])
                rows.writerows([i, *(epoch[name] for name in names)] for i, epoch in enumerate(epochs, 1))

        path = self.path / "history.csv"
        write_file(path, write)
        self.saved.append(path)

    def json(self, name: str, data: Any) -> None:
        """Any JSON file."""
        write_json(data, str(self.path / name))
        self.saved.append(self.path / name)

    def pictures(
        self, title: str, epochs: Sequence[Mapping[str, float]], counts: np.ndarray | None, names: Any
    ) -> None:
        """learning-curve.png and, where the test was done, confusion-matrix.png; a word where matplotlib is missing."""
        if not figures.available():
            say(MATPLOTLIB_MISSING)
            return
        if epochs:
            path = self.path / "learning-curve.png"
            plots.draw_learning_curve(path, {name: [e[name] for e in epochs] for name in epochs[0]}, title)
            self.saved.append(path)
        if counts is not None:
            path = self.path / "confusion-matrix.png"
            total = int(counts.sum())
            right = f"{np.trace(counts) / max(1, total):.1%} of {total:,} test images right"
            plots.draw_confusion_matrix(path, counts, names, f"{title}: {right}")
            self.saved.append(path)


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (rows) was taken for each class (columns).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 0],
           [1, 1]])
    """
    return np.bincount(true.astype(np.int64) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confused(counts: np.ndarray, names: Sequence[str], most: int = 3) -> str:
    """The most frequent mistakes in words.

    >>> confused(np.array([[8, 2], [0, 9]]), ["cat", "dog"])
    'cat taken for dog (2)'
    """
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(flat, wrong.shape) for flat in order]
    return ", ".join(f"{names[i]} taken for {names[j]} ({wrong[i, j]})" for i, j in pairs if wrong[i, j])
