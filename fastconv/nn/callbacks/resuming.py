"""Callbacks that keep a training so that it can go on, and that judge by the averages of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...streams import print_line
from .. import arguments
from ..files.checkpoints import generators_array, put_generators, put_state, state_arrays
from ..formats.named import load_arrays, save_arrays
from .base import Callback, Logs, batches_between

FILE = "backup.npz"


class BackupAndRestore(Callback):
    """Keep weights, optimizer state and random numbers, and go on from them when `fit` is called again.

    Parameters
    ----------
    backup_dir : path
        Folder of the file, which is replaced in one step.
    save_freq : "epoch" or int
        After every epoch, or after every so many batches.
    double_checkpoint : bool
        Of Keras, where a write may leave a damaged file; here it never does.
    delete_checkpoint : bool
        Whether to remove the file when training ends.

    Notes
    -----
    After an interruption of any kind a program is started again as it is, and `fit` comes to the same weights, to the
    last bit, as without: where x are arrays, each epoch is one pass over them, and model, optimizer and seed are the
    same. History, and the metrics of an epoch that was interrupted, begin where training is taken up.
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self.backup_dir = arguments.path(self, "backup_dir", backup_dir)
        self.save_freq = batches_between(self, save_freq)
        arguments.flag(self, "double_checkpoint", double_checkpoint)
        self.delete_checkpoint = arguments.flag(self, "delete_checkpoint", delete_checkpoint)

    @property
    def _path(self) -> Any:
        return self.backup_dir / FILE

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._epoch, self._batches, self._drawn = 0, 0, None
        if not self._path.exists():
            return
        arrays, source = load_arrays(self._path), str(self._path)
        place = arrays.pop("place", np.zeros(0))
        begun = arrays.pop("begun", None)
        if place.shape != (2,) or begun is None:
            raise InvalidArgument(f"{source} was not written by BackupAndRestore; remove it")
        put_state(self.model, arrays, source)
        self.model.resumes_at = int(place[0]), int(place[1])
        if place[1]:  # the order of the epoch is drawn again, then random numbers go on from where they were
            self._drawn = generators_array(self.model)
            put_generators(self.model, begun, source)
        print_line(f"Training goes on from epoch {place[0] + 1}, batch {place[1]}, of {source}")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch, self._begun = epoch, generators_array(self.model)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._drawn is not None:
            put_generators(self.model, self._drawn, str(self._path))
            self._drawn = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.save_freq is not None and self._batches % self.save_freq == 0:
            is_last = batch + 1 == self.params["steps"]
            self._save(*((self._epoch + 1, 0) if is_last else (self._epoch, batch + 1)))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq is None:
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            self._path.unlink(missing_ok=True)

    def _save(self, epoch: int, batch: int) -> None:
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        place = {"place": np.array([epoch, batch]), "begun": self._begun}
        save_arrays(self._path, {**state_arrays(self.model), **place})


class SwapEMAWeights(Callback):
    """Let evaluations and predictions see the averages of the weights, of an optimizer with ``use_ema=True``.

    Parameters
    ----------
    swap_on_epoch : bool
        Whether the averages are in the weights' places at the end of each epoch too, for callbacks that come after
        this one, such as `ModelCheckpoint`.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = arguments.flag(self, "swap_on_epoch", swap_on_epoch)
        self._swapped = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._let(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._let(self.swap_on_epoch)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._let(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._let(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._let(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._let(False)

    def _let(self, swapped: bool) -> None:
        optimizer = self.model.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if not getattr(inner, "use_ema", False):
            raise InvalidArgument("SwapEMAWeights needs an optimizer with use_ema=True")
        if swapped is not inner._swapped:
            optimizer.swap_averages(self.model.trainable_weights)
