"""What a training run shows while it goes on, and when it ends early."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from ..errors import FastconvError
from ..nn.callbacks import History
from .console import on_terminal, progress_bar, say

Speeds = list[dict[str, float]]


class Diverged(FastconvError, ArithmeticError):
    """The loss is no number any more: going on is useless."""


class Progress(History):
    """Shows loss, accuracy, images a second and the time left; keeps each epoch's figures.

    On a terminal one line moves and one stays for every epoch; elsewhere there is a line for every tenth of an epoch.

    Parameters
    ----------
    epochs, images, batch_size : int
    history : dict of lists
    speeds : list of dict
        Of the epochs that are done already, where a run is continued.

    Attributes
    ----------
    history : dict of lists
        The figures of each finished epoch: loss, accuracy, val_loss, val_accuracy.
    speeds : list of dict
        Seconds and images a second of each finished epoch's training, without its test.
    unfinished : dict or None
        The epoch that was interrupted: its number, batches done, running loss and accuracy.
    """

    def __init__(
        self, epochs: int, images: int, batch_size: int, history: dict[str, list[float]], speeds: Speeds
    ) -> None:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

        super().__init__()
        self.history, self.speeds = {name: list(values) for name, values in history.items()}, list(speeds)
        self.unfinished: dict[str, Any] | None = None
        self._epochs, self._images, self._batch_size = epochs, images, batch_size
        self._batches = math.ceil(images / batch_size)
        self._before = len(speeds)
        self._moves = on_terminal(sys.stderr)
        self._left = TimeRemainingColumn()
        text, figures = TextColumn("{task.description}"), TextColumn("{task.fields[text]}")
        self._bar = progress_bar(text, BarColumn(24), TaskProgressColumn(), figures, self._left, TextColumn("left"))
        self._bar.add_task(f"epoch 1/{epochs}", total=epochs * self._batches, text="first step")

    def on_train_begin(self, logs: Any = None) -> None:
        if self._moves:
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._trained = epoch, 0.0
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        logs = logs or {}
        self._trained = time.perf_counter() - self._started
        done = batch + 1
        if self._is_first_epoch and batch == 0:
            self._first = self._trained  # what compiles in the first step tells nothing about the others
        self.unfinished = {"epoch": self._epoch + 1, "batches": done, **_plain(logs)}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise Diverged(
                f"the loss is {logs['loss']} after batch {done} of epoch {self._epoch + 1}; use a smaller --lr"
            )
        self._show(done, _figures(logs, self._speed(done)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        speed = self._speed(self._batches)
        figures = _plain(logs or {})
        super().on_epoch_end(epoch, figures)
        self.speeds.append({"seconds": self._trained, "images_per_second": speed})
        self.unfinished = None
        test = ""
        if "val_loss" in figures:
            test = f"  test loss {figures['val_loss']:.4f}  test accuracy {figures['val_accuracy']:.4f}"
        say(f"{self._name}  {_figures(figures, speed)}  {self._trained:.1f} s{test}")

    def close(self) -> None:
        """Take the moving line away."""
        if self._moves:
            self._bar.stop()

    def _show(self, done: int, figures: str) -> None:
        """Move the line on, or off a terminal say a new one where it is time for that."""
        (task,) = self._bar.tasks
        self._bar.update(task.id, description=self._name, completed=self._epoch * self._batches + done, text=figures)
        tenth = done * 10 // self._batches
        if not self._moves and tenth > (done - 1) * 10 // self._batches and tenth < 10:
            say(f"{self._name}  {tenth * 10:3d} %  {figures}  {self._left.render(task)} left")

    @property
    def _name(self) -> str:
        return f"epoch {self._epoch + 1}/{self._epochs}"

    def _speed(self, done: int) -> float:
        """Images a second in this epoch, without the very first step unless there was no other."""
        images = min(done * self._batch_size, self._images)
        if not self._is_first_epoch or done == 1:
            return images / self._trained
        return (images - self._batch_size) / (self._trained - self._first)

    @property
    def _is_first_epoch(self) -> bool:
        """Whether this process trains its first epoch: one that compiles."""
        return len(self.speeds) == self._before


def _figures(logs: Any, speed: float) -> str:
    loss, accuracy = logs.get("loss", math.nan), logs.get("accuracy", math.nan)
    return f"loss {loss:.4f}  accuracy {accuracy:.4f}  {speed:,.0f} images/s"


def _plain(logs: Any) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}
