"""What a training run shows while it goes on, and when it ends early."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from ..errors import FastconvError
from ..nn.callbacks import Callback
from ..streams import Tolerant
from .console import on_terminal, say

Figures = dict[str, float]


class Diverged(FastconvError, ArithmeticError):
    """The loss is no number any more: going on is useless."""


class Progress(Callback):
    """Shows loss, accuracy, images a second and the time left; keeps each epoch's figures.

    Parameters
    ----------
    epochs, images, batch_size : int
    history, speeds : list of dict
        Of the epochs that are done already, where a run is continued.

    Attributes
    ----------
    history : list of dict
        The figures of each finished epoch: loss, accuracy, val_loss, val_accuracy.
    speeds : list of dict
        Seconds and images a second of each finished epoch's training, without its test.
    unfinished : dict or None
        The epoch that was interrupted: its number, batches done, running loss and accuracy.
    """

    def __init__(
        self, epochs: int, images: int, batch_size: int, history: list[Figures], speeds: list[Figures]
    ) -> None:
        super().__init__()
        self.history, self.speeds = list(history), list(speeds)
        self.unfinished: dict[str, Any] | None = None
        self._epochs, self._images, self._batch_size = epochs, images, batch_size
        self._batches = math.ceil(images / batch_size)
        self._before = len(history)
        self._display = (_Bar if on_terminal(sys.stderr) else _Lines)(epochs, self._batches)

    def on_train_begin(self, logs: Any = None) -> None:
        self._run_seconds = self._first = 0.0
        self._display.start()

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
        all_done = (self._epoch - self._before) * self._batches + done
        to_do = (self._epochs - self._before) * self._batches - all_done
        warm = self._run_seconds + self._trained - self._first
        left = math.nan if all_done == 1 else warm / (all_done - 1) * to_do
        self._display.update(self._epoch, done, logs, self._speed(done), left)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._run_seconds += time.perf_counter() - self._started
        speed = {"seconds": self._trained, "images_per_second": self._speed(self._batches)}
        self.history.append(_plain(logs or {}))
        self.speeds.append(speed)
        self.unfinished = None
        self._display.epoch(epoch, self.history[-1], speed)

    def close(self) -> None:
        """Take the display away."""
        self._display.stop()

    def _speed(self, done: int) -> float:
        """Images a second in this epoch, without the very first step unless there was no other."""
        images = min(done * self._batch_size, self._images)
        if not self._is_first_epoch or done == 1:
            return images / self._trained
        return (images - self._batch_size) / (self._trained - self._first)

    @property
    def _is_first_epoch(self) -> bool:
        """Whether this process trains its first epoch: one that compiles."""
        return len(self.history) == self._before


class _Lines:
    """Off a terminal: a line for every tenth of an epoch."""

    def __init__(self, epochs: int, batches: int) -> None:
        self._epochs, self._batches = epochs, batches

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def update(self, epoch: int, done: int, logs: Any, speed: float, left: float) -> None:
        tenth = done * 10 // self._batches
        if tenth > (done - 1) * 10 // self._batches and tenth < 10:
            say(f"epoch {epoch + 1}/{self._epochs}  {tenth * 10:3d} %  {running(logs, speed)}  {clock(left)} left")

    def epoch(self, epoch: int, logs: Figures, speed: Figures) -> None:
        say(epoch_line(epoch, self._epochs, logs, speed))


class _Bar:
    """On a terminal: one moving line for the run, and a line that stays for every epoch."""

    def __init__(self, epochs: int, batches: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._epochs, self._batches = epochs, batches
        stream: Any = Tolerant(sys.stderr)
        self._console = Console(file=stream, highlight=False)
        columns = (
            TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn(), TextColumn("{task.fields[text]}"),
        )  # fmt: skip
        self._bar = RichProgress(*columns, console=self._console, transient=True, redirect_stdout=False)
        self._task = self._bar.add_task(f"epoch 1/{epochs}", total=epochs * batches, text="first step")

    def start(self) -> None:
        self._bar.start()

    def stop(self) -> None:
        self._bar.stop()

    def update(self, epoch: int, done: int, logs: Any, speed: float, left: float) -> None:
        self._bar.update(
            self._task,
            description=f"epoch {epoch + 1}/{self._epochs}",
            completed=epoch * self._batches + done,
            text=f"{running(logs, speed)}  {clock(left)} left",
        )

    def epoch(self, epoch: int, logs: Figures, speed: Figures) -> None:
        self._console.print(epoch_line(epoch, self._epochs, logs, speed), markup=False, soft_wrap=True)


def running(logs: Any, speed: float) -> str:
    """The figures of an epoch under way."""
    return (
        f"loss {logs.get('loss', math.nan):.4f}  accuracy {logs.get('accuracy', math.nan):.4f}  {speed:,.0f} images/s"
    )


def epoch_line(epoch: int, epochs: int, logs: Figures, speed: Figures) -> str:
    """The figures of a finished epoch."""
    test = ""
    if "val_loss" in logs:
        test = f"  test loss {logs['val_loss']:.4f}  test accuracy {logs['val_accuracy']:.4f}"
    done = running(logs, speed["images_per_second"])
    return f"epoch {epoch + 1}/{epochs}  {done}  {speed['seconds']:.1f} s{test}"


def clock(seconds: float) -> str:
    """m:ss, or h:mm:ss, or ?:?? where nothing is known.

    >>> clock(61.6), clock(3700), clock(math.nan)
    ('1:02', '1:01:40', '?:??')
    """
    if math.isnan(seconds):
        return "?:??"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _plain(logs: Any) -> Figures:
    return {name: float(value) for name, value in logs.items()}
