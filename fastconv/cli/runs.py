"""A training run as it is written down, and how it is taken up again.

At the end of each epoch come run.json, history.json, history.csv and, last, state.npz: a state is never newer than the
record beside it. How many epochs are done is read from the state; what the record says beyond that was lost with the
process, and is done again.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import click

from ..errors import DataUnavailable, InvalidArgument, shown
from ..files import brief
from ..nn.callbacks import Callback
from .artifacts import BEST, FIGURES, HISTORY, RECORD, STATE, NoFolder, OutputFolder
from .augmentation import suited
from .console import say
from .progress import Progress
from .stopping import best_epoch

#: They determine every bit.
DECISIVE = (
    *("dataset", "folder", "image_size", "limit", "model", "epochs", "batch_size", "optimizer", "lr", "momentum"),
    *("schedule", "augment", "early_stop", "best", "seed"),
)
STATUSES = ("running", "finished", "interrupted", "diverged")
START_ANEW = "start anew with --overwrite"


class Record:
    """What run.json says.

    Parameters
    ----------
    facts : mapping
        What does not change: arguments, device, parameters, images, environment.
    progress : Progress
    seconds : float
        That the run took before this process.
    """

    def __init__(self, facts: Mapping[str, Any], progress: Progress, seconds: float) -> None:
        self._facts, self._progress = facts, progress
        self._started = time.perf_counter() - seconds

    def now(self, status: str, test: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The record with a status: running, finished, interrupted or diverged."""
        facts = dict(self._facts)
        environment = facts.pop("environment")
        return {
            "status": status,
            **facts,
            "seconds": time.perf_counter() - self._started,
            "epochs": self._progress.speeds,
            "interrupted": self._progress.unfinished,
            "test": test,
            "environment": environment,
        }


class Keeper(Callback):
    """Writes everything down at the end of each epoch; a disk that is full does not end the training.

    Parameters
    ----------
    output : OutputFolder or NoFolder
    progress : Progress
    record : Record
    network : Network, optional
        Whose weights of the best epoch are kept.

    Attributes
    ----------
    unsaved : Network or None
        The network of the best epoch while its weights could not be written. No later state is written before them: one
        that is gone on from would take older weights for the best.
    """

    unsaved: Any = None

    def __init__(self, output: OutputFolder | NoFolder, progress: Progress, record: Record, network: Any) -> None:
        super().__init__()
        self._output, self._progress, self._record, self._network = output, progress, record, network

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._network is not None and best_epoch(self._progress.history) == epoch:
            self.unsaved = self._network
        try:
            self._output.json(RECORD, self._record.now("running"))
            self._output.history(self._progress.history)
            self.save_best()
            self._output.state(self.model)
        except DataUnavailable as error:
            if self.unsaved is self._network:
                self.unsaved = deepcopy(self._network)  # which the next epoch changes
            say(f"Epoch {epoch + 1} is not kept: {error}; training goes on")

    def save_best(self) -> None:
        """Write the weights of the best epoch, if they are not written yet."""
        if self.unsaved is not None:
            self._output.best(self.unsaved)
            self.unsaved = None


class Earlier:
    """A run that is there already: its arguments, and what it has done.

    Parameters
    ----------
    output : OutputFolder

    Raises
    ------
    DataUnavailable
        Its record is damaged.
    """

    def __init__(self, output: OutputFolder) -> None:
        self._output = output
        self.record = self._read(RECORD)
        self.status = self.record.get("status")
        if self.status not in STATUSES:
            raise self._damaged(RECORD, "it does not say how the run ended")

    def arguments(self, context: click.Context, given: Mapping[str, Any]) -> dict[str, Any]:
        """The run's own arguments; those named on the command line must agree with them."""
        old = self.record.get("arguments")
        if not isinstance(old, dict) or not set(DECISIVE) <= set(old):
            raise self._damaged(RECORD, "it names no arguments")
        arguments = dict(given)
        for parameter in context.command.params:
            name = str(parameter.name)
            if name not in DECISIVE:
                continue
            try:
                arguments[name] = parameter.type_cast_value(context, old[name])
            except (click.UsageError, TypeError, ValueError):
                raise self._damaged(RECORD, f"its {name} is {shown(old[name])}") from None
            wanted = suited(given[name], arguments["dataset"]) if name == "augment" else given[name]
            named = context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
            if named and wanted != arguments[name]:
                raise InvalidArgument(
                    f"the run in {brief(self._output.path)} was begun with {name} {arguments[name]}, not "
                    f"{wanted}; leave that out to go on with it, or {START_ANEW}"
                )
        return arguments

    def take_up(self, model: Any, images: int, batches: int) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
        """Load the state into the model; returns the figures and the speeds of the epochs that are done."""
        path = self._output.path / STATE
        if not path.exists():
            return {}, []  # it ended within its first epoch
        counts = self.record.get("images")
        if not isinstance(counts, dict) or counts.get("training") != images:
            raise InvalidArgument(
                f"the run in {brief(self._output.path)} was not begun with these {images:,} training images; "
                f"give it the data it was begun with, or {START_ANEW}"
            )
        model.load_state(path)
        done, rest = divmod(int(model.optimizer.iterations), batches)
        history, speeds = self._history(), self.record.get("epochs")
        if rest or not isinstance(speeds, list) or done > min(len(history["loss"]), len(speeds)):
            raise self._damaged(STATE, f"it is that of another run than {HISTORY} and {RECORD}")
        if self.record["arguments"]["best"] and done and not (self._output.path / BEST).exists():
            raise self._damaged(BEST, "it is not there")
        return {name: values[:done] for name, values in history.items()}, speeds[:done]

    @property
    def seconds(self) -> float:
        """Time that the run took so far."""
        seconds = self.record.get("seconds")
        return seconds if isinstance(seconds, (int, float)) else 0.0

    def _history(self) -> dict[str, list[float]]:
        held = self._read(HISTORY)
        try:
            columns = {n: [math.nan if v is None else float(v) for v in held[n]] for n in FIGURES}
            if len(set(map(len, columns.values()))) > 1:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise self._damaged(HISTORY, "it does not hold four lists of numbers") from None
        return columns

    def _read(self, name: str) -> dict[str, Any]:
        path = self._output.path / name
        try:
            data = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            raise self._damaged(name, "it is no JSON") from None
        except OSError as error:
            raise self._damaged(name, f"it cannot be read: {error.strerror}") from error
        if not isinstance(data, dict):
            raise self._damaged(name, "it is no JSON object")
        return data

    def _damaged(self, name: str, found: str) -> DataUnavailable:
        path = brief(self._output.path / name)
        return DataUnavailable(f"{path} is damaged: {found}; the run cannot go on: {START_ANEW}")
