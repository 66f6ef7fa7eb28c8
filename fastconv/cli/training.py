"""A training run from its data to its last file."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import FastconvError, InvalidArgument, PeerLost
from ..files import display
from ..measure import environment
from ..measure.machine import processor_name
from ..nn import applications, datasets, layers, optimizers
from ..nn.utils import to_categorical
from ..ops.devices import require_device
from ..show import Labelled, Subject
from ..show.confusion import class_table
from ..simd.kernel_cache import kernel_cache_dir
from .artifacts import RECORD, STATE, NoFolder, OutputFolder
from .console import OutputLost, command_line, say, tell
from .images import background
from .interruption import Interruption, Stopped
from .progress import Diverged, Progress
from .ranks import Ranks
from .runs import Earlier, Keeper, Record


class Training:
    """A run from its data to its last file.

    Parameters
    ----------
    output : OutputFolder, or NoFolder
        The latter on all ranks but the first.
    arguments : dict
        Of the command.
    earlier : Earlier, optional
        The run to go on with; rank 0 has it.
    ranks : Ranks
    """

    def __init__(
        self, output: OutputFolder | NoFolder, arguments: dict[str, Any], earlier: Earlier | None, ranks: Ranks
    ) -> None:
        self.output, self.arguments, self.ranks = output, arguments, ranks
        device = _device(arguments["device"])
        self.name, self.epochs, size = arguments["dataset"], arguments["epochs"], arguments["batch_size"]
        module = datasets.by_name(self.name)
        self.names = module.CLASS_NAMES
        self.train_set, self.test_set = ranks.first_then_others(
            lambda: _load(module, arguments["data_dir"], arguments["limit"], len(self.names))
        )
        images, batches = len(self.train_set[0]), -(-len(self.train_set[0]) // size)
        self.model = _model(self.train_set[0].shape[1:], len(self.names), arguments, batches)
        nothing: tuple[Any, Any] = {}, []
        taken = ranks.all_or_none(lambda: earlier.take_up(self.model, images, batches) if earlier else nothing)
        (history, speeds), self.is_resumed = ranks.of_first((taken, earlier is not None))
        self.done = len(speeds)
        self.progress = Progress(self.epochs, images, size, history, speeds)
        facts = {
            "arguments": {k: display(v) if isinstance(v, Path) else v for k, v in arguments.items()},
            "device": device,
            "processes": ranks.size,
            "parameters": self.model.count_params(),
            "network": {
                "name": self.model.name,
                "input_shape": list(self.train_set[0].shape[1:]),
                "classes": list(self.names),
                "background": background(self.train_set[0]),
            },
            "command": command_line(),
            "images": {"training": images, "test": len(self.test_set[0])},
            "environment": environment(),
        }
        self.record = Record(facts, self.progress, earlier.seconds if earlier is not None else 0.0)
        self._subject: Subject | None = None
        self._announce(device)

    def run(self) -> None:
        """Train, save, judge, show; exits with the status of a signal that ended it early."""
        interruption = Interruption(self.ranks.agreed)
        if self.ranks.size > 1:
            interruption.what_next = (
                "A process was lost, or asked to stop: all is saved if the others still finish this batch, "
                f"the last finished epoch is kept in any case; go on with: {self._resume_command()}"
            )
        with interruption.listening():
            try:
                self._fit(interruption)
                self.ranks.settled = True
            except PeerLost as error:
                if self.ranks.rank == 0:
                    say(f"{error}; go on with: {self._resume_command()}")
                    self._save("interrupted", pictures=False)
                raise
            except Stopped:
                self.ranks.settled = True
                interruption.what_next = "Saving"
                self._save("interrupted")
                self._close(f"go on with: {self._resume_command()}")
                sys.exit(128 + (interruption.number or 0))
            except Diverged as error:
                self.ranks.settled = True
                if self.ranks.rank:
                    sys.exit(2)
                raise self._diverged(error) from None
            interruption.what_next = "All is being saved"
            if self.ranks.rank == 0:
                self._finish()

    def _resume_command(self) -> str:
        words = ["mpirun", "-n", str(self.ranks.size)] if self.ranks.size > 1 else []
        words += ["fastconv", "train", self.name, "--out", str(self.output.path), "--resume"]
        if self.arguments["data_dir"] is not None:
            words += ["--data-dir", str(self.arguments["data_dir"])]
        if self.arguments["device"] != "cpu":
            words += ["--device", self.arguments["device"]]
        return display(shlex.join(words))

    def _announce(self, device: dict[str, str]) -> None:
        (x, _), (x_test, _) = self.train_set, self.test_set
        parameters = self.model.count_params()
        say(f"{self.name}: {len(x):,} training and {len(x_test):,} test images; {parameters:,} parameters")
        if self.ranks.size > 1:
            say(f"Training on {self.ranks.size} processes")
        if self.done:
            say(f"Going on after epoch {self.done} of {self.epochs}")
        elif self.is_resumed:
            say("No epoch of this run was finished and kept: it begins again")
        if device["kind"] == "cuda":
            say(f"Training on {device['name']}")
        if not kernel_cache_dir().is_dir():
            say(f"Kernels are compiled as they are needed, once; they are kept in {display(kernel_cache_dir())}")

    def _fit(self, interruption: Interruption) -> None:
        callbacks = [self.progress, Keeper(self.output, self.progress, self.record), interruption]
        options: dict[str, Any] = {"epochs": self.epochs, "initial_epoch": self.done, "verbose": 0}
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # Progress tells of a loss that is no number
                self.model.fit(
                    *self.train_set, batch_size=self.arguments["batch_size"], validation_data=self.test_set,
                    callbacks=callbacks, **options,
                )  # fmt: skip
        finally:
            self.progress.close()

    def _save(self, status: str, *, weights: bool = True, pictures: bool = True) -> None:
        """Everything but the test."""
        record = self.record.now(status)
        self._all(
            lambda: self.output.json(RECORD, record),
            *([lambda: self.output.weights(self.model)] if weights else []),
            lambda: self.output.history(self.progress.history),
            *([lambda: self._draw(record)] if pictures else []),
        )

    def _finish(self) -> None:
        """Save what the training made, then judge it; only then is it finished, and its state of no use."""
        self._save("running", pictures=False)
        counts = self.subject.counts
        test = {"classes": self.names, "confusion_matrix": counts.tolist()}
        finished = self.record.now("finished", test)
        try:
            self._all(
                lambda: self.output.json(RECORD, finished),
                self.output.drop_state,
                lambda: self.output.classes(class_table(counts, self.names)),
                lambda: self._draw(finished, is_tested=True),
            )
        finally:
            self._close(*_in_words(counts, self.names))
        for name, values in self.progress.history.items():
            if not math.isfinite(values[-1]):
                raise _no_number(f"{name} is {values[-1]} after the last epoch", self.output)

    def _draw(self, record: dict[str, Any], is_tested: bool = False) -> None:
        self.output.pictures(self.name, self.subject, is_tested)
        self.output.report(self.name, record, self.subject, is_tested)

    @property
    def subject(self) -> Subject:
        """What pictures show: the network, the test images, the figures of each epoch."""
        if self._subject is None:
            x, y = self.test_set
            data = Labelled(x, y.argmax(axis=1), tuple(self.names))
            self._subject = Subject(self.model, data, given_history=self.progress.history)
        return self._subject

    def _all(self, *writes: Callable[[], Any]) -> None:
        """Write each though another failed; then raise the first failure."""
        failures = []
        for write in writes:
            try:
                write()
            except FastconvError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _diverged(self, error: FastconvError) -> FastconvError:
        """Save the epochs before the one in which the loss became no number, if there are any."""
        if not self.progress.history:
            return error
        state = self.output.path / STATE
        if state.exists():
            self.model.load_state(state)
        self._save("diverged", weights=state.exists())
        return _no_number(str(error), self.output)

    def _close(self, *lines: str) -> None:
        """Say what came of it; the files are there whether or not somebody hears it."""
        saved = f"saved in {display(self.output.path)}: {', '.join(self.output.saved)}"
        try:
            tell("\n".join([*lines, saved]))
        except OutputLost as error:
            if not error.reader_gone:
                say(f"{error}; {saved}")


def _no_number(found: str, output: OutputFolder | NoFolder) -> FastconvError:
    advice = "" if "--lr" in found else "; use a smaller --lr"
    return Diverged(f"{found}{advice} (saved in {display(output.path)}: {', '.join(output.saved)})")


def _model(shape: Any, classes: int, arguments: dict[str, Any], batches: int) -> Any:
    """The network, compiled, on its device."""
    model = applications.lecture_cnn(shape, classes, dropout=0, seed=arguments["seed"])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # the statistics settle in tens of steps, as in PyTorch; with 0.99 it takes hundreds
    model.to(arguments["device"])
    optimizer = optimizers.SGD(_falling(arguments["lr"], arguments["epochs"] * batches), momentum=arguments["momentum"])
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def _device(kind: str) -> dict[str, str]:
    """A device and its name; DeviceMissing where there is no GPU, before anything is loaded."""
    return {"kind": kind, "name": require_device() if kind == "cuda" else processor_name()}


def _falling(lr: float, steps: int) -> Callable[[int], float]:
    """The learning rate at each step: a straight line from `lr` to nothing, which gains most in a short run."""
    return lambda step: lr * max(0.0, 1 - step / steps)


def _load(module: ModuleType, data_dir: Path | None, limit: int | None, classes: int) -> tuple[Any, Any]:
    """Training and test set as (images in [0, 1] with a channel axis, one-hot labels)."""
    sets: list[tuple[Any, Any]] = []
    for x, y in module.load_data(data_dir):
        n = limit if not sets and limit is not None else len(x)  # only the training images are limited
        x = x[:n].reshape(*x[:n].shape[:3], -1).astype(np.float32) / np.float32(255)
        sets.append((x, to_categorical(y[:n], classes)))
    if limit is not None and limit > len(sets[0][0]):
        raise InvalidArgument(f"--limit is {limit} but there are {len(sets[0][0]):,} training images; use fewer")
    return sets[0], sets[1]


def _in_words(counts: Any, names: Any) -> list[str]:
    """What the confusion matrix says, in a line or two."""
    right, total = int(counts.trace()), int(counts.sum())
    lines = [f"test accuracy {right / total:.4f} ({right:,} of {total:,} images right)"]
    return lines if right == total else [*lines, f"most frequent mistakes: {confused(counts, names)}"]


def confused(counts: np.ndarray, names: Sequence[str], most: int = 3) -> str:
    """The most frequent mistakes in words.

    >>> confused(np.array([[8, 2], [0, 9]]), ["cat", "dog"])
    'cat taken for dog (2)'
    """
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(flat, wrong.shape) for flat in order]
    return ", ".join(f"{names[i]} taken for {names[j]} ({wrong[i, j]})" for i, j in pairs if wrong[i, j])
