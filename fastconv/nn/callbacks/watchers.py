"""Callbacks that watch a value: stop, save, or change the learning rate by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from ...files import display
from ...streams import print_line
from .. import arguments
from ..basics.names import find
from ..formats.weights import MODEL, can_hold_model, checked_path
from .base import Callback, Logs, batches_between


class _Watcher(Callback):
    """A callback that compares a monitored value with the best so far."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        find("mode", mode, {"auto": 0, "min": 0, "max": 0})
        self.monitor = arguments.text(self, "monitor", monitor)
        self.min_delta = abs(arguments.real(self, "min_delta", min_delta))
        larger = mode == "max" or (
            mode == "auto" and any(word in monitor for word in ("acc", "auc", "precision", "recall"))
        )
        self.sign = 1.0 if larger else -1.0
        self.best = -self.sign * math.inf

    def current(self, logs: Logs | None) -> float:
        """The monitored value."""
        logs = logs or {}
        if self.monitor not in logs:
            raise InvalidArgument(
                f"{type(self).__name__} monitors {shown(self.monitor)} but the logs hold {', '.join(logs) or 'nothing'}"
                + ("; pass validation_data or validation_split to fit" if self.monitor.startswith("val_") else "")
            )
        return float(logs[self.monitor])

    def improves(self, value: float) -> bool:
        """Whether `value` beats the best by more than `min_delta`."""
        return self.sign * value - self.min_delta > self.sign * self.best


class EarlyStopping(_Watcher):
    """Stop when a value has not improved for `patience` epochs.

    Parameters
    ----------
    monitor : str
        Key of the logs.
    min_delta : float
        What counts as an improvement.
    patience : int
    verbose : int
    mode : {"auto", "min", "max"}
        "auto" wants accuracies large and everything else small.
    baseline : float, optional
        A value to beat from the start.
    restore_best_weights : bool
        Whether to end with the weights of the best epoch.
    start_from_epoch : int
        Epochs before which nothing is watched.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose = arguments.whole(self, "patience", patience, 0), arguments.verbosity(self, verbose)
        self.baseline = None if baseline is None else arguments.real(self, "baseline", baseline, finite=False)
        self.restore_best_weights = arguments.flag(self, "restore_best_weights", restore_best_weights)
        self.start_from_epoch = arguments.whole(self, "start_from_epoch", start_from_epoch, 0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best = -self.sign * math.inf if self.baseline is None else self.baseline
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.current(logs)
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
        if self.improves(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        elif self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print_line(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Watcher):
    """Save weights or models now and then, or whenever a value has improved. Files are replaced in one step.

    Parameters
    ----------
    filepath : path
        May hold ``{epoch:02d}`` and any key of the logs, such as ``{val_loss:.2f}``, with a `save_freq` also
        ``{batch}``; ends with .keras for whole models, else as in `Sequential.save_weights`.
    monitor : str
    verbose : int
    save_best_only : bool
    save_weights_only : bool, optional
        By default as the file's name says: a .keras file holds a whole model, one of another name weights. With False a
        .h5 file holds a whole model, too.
    mode : {"auto", "min", "max"}
    save_freq : "epoch" or int
        After every epoch, or after so many batches, counted through the epochs; the logs are then those of the batch.
    initial_value_threshold : float, optional
        What the first saved value must improve on, with `save_best_only`: the best of a training that is continued.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool | None = None,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if initial_value_threshold is not None:
            self.best = arguments.real(self, "initial_value_threshold", initial_value_threshold, finite=False)
        self.save_freq = batches_between(self, save_freq)
        path = checked_path(filepath, (MODEL,))
        self.save_weights_only = path.suffix != MODEL
        if save_weights_only is not None:
            asked = arguments.flag(self, "save_weights_only", save_weights_only)
            if path.suffix == MODEL if asked else not can_hold_model(path):
                ending = ".weights.h5, or another format of weights" if asked else f"{MODEL}, or leave it out"
                raise InvalidArgument(
                    f"save_weights_only={asked}, but filepath is {shown(str(path))}; end the name with {ending}"
                )
            self.save_weights_only = asked
        self.filepath = str(path)
        self.verbose = arguments.verbosity(self, verbose)
        self.save_best_only = arguments.flag(self, "save_best_only", save_best_only)
        self._epoch = self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq is None:
            return
        self._batches += 1
        if self._batches % self.save_freq == 0:
            self._save(self._epoch, logs, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq is None:
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs | None, **more: int) -> None:
        if self.save_best_only:
            value = self.current(logs)
            if not self.improves(value):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=epoch + 1, **more, **(logs or {}))
        except (KeyError, IndexError) as error:
            raise InvalidArgument(
                f"filepath {shown(self.filepath)} names {error}; known are {', '.join(['epoch', *more, *(logs or {})])}"
            ) from None
        except (ValueError, AttributeError, TypeError) as error:  # of the format after the name
            raise InvalidArgument(f"filepath {shown(self.filepath)} cannot be filled in: {error}") from None
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            print_line(f"Epoch {epoch + 1}: saved {display(path)}")


class ReduceLROnPlateau(_Watcher):
    """Multiply the learning rate by `factor` when a value has not improved for `patience` epochs.

    Parameters
    ----------
    monitor : str
    factor : float
        Between 0 and 1.
    patience : int
    verbose : int
    mode : {"auto", "min", "max"}
    min_delta : float
    cooldown : int
        Epochs to wait after a reduction before counting again.
    min_lr : float
        The rate never goes below.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = arguments.real(self, "factor", factor, above=0, below=1)
        self.patience, self.verbose = arguments.whole(self, "patience", patience, 0), arguments.verbosity(self, verbose)
        self.cooldown = arguments.whole(self, "cooldown", cooldown, 0)
        self.min_lr = arguments.real(self, "min_lr", min_lr, 0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait, self.resting = 0, 0
        self.best = -self.sign * math.inf

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value, optimizer = self.current(logs), self.model.optimizer
        rate = _plain_rate(optimizer)
        if logs is not None:
            logs["learning_rate"] = rate
        if self.resting:
            self.resting, self.wait = self.resting - 1, 0
        if self.improves(value):
            self.best, self.wait = value, 0
        elif not self.resting:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.wait, self.resting = 0, self.cooldown
                if self.verbose:
                    print_line(f"Epoch {epoch + 1}: learning rate reduced to {optimizer.learning_rate:.6g}")


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch)`` or ``schedule(epoch, rate)``, epochs counted from 0, returns the new rate.
    verbose : int
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule) or not (arguments.takes(schedule, 1) or arguments.takes(schedule, 2)):
            raise arguments.wrong(self, "schedule", schedule, "a function (epoch), or (epoch, rate)")
        self.schedule, self.verbose = schedule, arguments.verbosity(self, verbose)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        given = (epoch, _plain_rate(optimizer)) if arguments.takes(self.schedule, 2, if_unknown=False) else (epoch,)
        rate = arguments.result_of(self, "schedule", self.schedule, *given)
        optimizer.learning_rate = arguments.real(self, f"schedule({epoch})", rate, 0)
        if self.verbose:
            print_line(f"Epoch {epoch + 1}: learning rate {optimizer.learning_rate:.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = _plain_rate(self.model.optimizer)


def _plain_rate(optimizer: Any) -> float:
    if optimizer.schedule is not None:
        raise InvalidArgument("the optimizer's learning_rate is a function; a callback can only change a number")
    return optimizer.learning_rate
