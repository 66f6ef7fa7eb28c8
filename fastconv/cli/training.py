"""A training run from its data to its last file."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FastconvError, PeerLost
from ..files import display
from ..measure import environment
from ..measure.machine import processor_name
from ..nn import zoo
from ..ops.devices import require_device
from ..show import Labelled, Subject
from ..show.confusion import class_table
from ..simd.kernel_cache import kernel_cache_dir
from . import inputs, recipes
from .artifacts import RECORD, STATE, NoFolder, OutputFolder
from .console import OutputLost, command_line, say, tell
from .images import background
from .interruption import Interruption, Stopped
from .progress import Diverged, Progress
from .ranks import Ranks
from .runs import Earlier, Keeper, Record
from .stopping import EarlyStop, best_in_words


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
        self.name, self.epochs, size = title(arguments), arguments["epochs"], arguments["batch_size"]
        self.data = ranks.first_then_others(lambda: inputs.load(arguments))
        images, batches = len(self.data.train[0]), -(-len(self.data.train[0]) // size)
        self.model = recipes.network(arguments, self.data.shape, len(self.data.names))
        self.trainer = ranks.all_or_none(lambda: recipes.trainer(self.model, arguments, self.data.train[0], batches))
        nothing: tuple[Any, Any] = {}, []
        taken = ranks.all_or_none(lambda: earlier.take_up(self.trainer, images, batches) if earlier else nothing)
        (history, speeds), self.is_resumed = ranks.of_first((taken, earlier is not None))
        self.done = len(speeds)
        self.early_stop = EarlyStop(arguments["early_stop"])
        self.progress = Progress(self.epochs, images, size, history, speeds)
        facts = {
            "arguments": {k: display(v) if isinstance(v, Path) else v for k, v in arguments.items()},
            "device": device,
            "processes": ranks.size,
            "parameters": self.model.count_params(),
            "network": {
                "name": arguments["model"],
                "input_shape": list(self.data.shape),
                "classes": list(self.data.names),
                "background": background(self.data.train[0]),
            },
            "command": command_line(),
            "images": {"training": images, "test": len(self.data.test[0])},
            "environment": environment(),
        }
        if arguments["baseline"]:
            facts["baseline"] = self._baseline()
        self.record = Record(facts, self.progress, earlier.seconds if earlier is not None else 0.0)
        self.keeper = Keeper(output, self.progress, self.record, self.model if arguments["best"] else None)
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
        words += ["fastconv", "train", *(["--folder"] if self.arguments["folder"] is not None else [])]
        words += [str(self.arguments["folder"] or self.name), "--out", str(self.output.path), "--resume"]
        if self.arguments["data_dir"] is not None:
            words += ["--data-dir", str(self.arguments["data_dir"])]
        if self.arguments["device"] != "cpu":
            words += ["--device", self.arguments["device"]]
        return display(shlex.join(words))

    def _announce(self, device: dict[str, str]) -> None:
        parameters, counts = self.model.count_params(), [f"{len(x):,}" for x, _ in (self.data.train, self.data.test)]
        say(f"{self.name}: {counts[0]} training and {counts[1]} test images; {parameters:,} parameters")
        self.model.summary(print_fn=say)
        say(recipes.in_words(self.arguments))
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

    def _baseline(self) -> dict[str, float]:
        """Tell how well a linear classifier does on these data."""
        (x, y), (x_test, y_test) = self.data.train, self.data.test
        fitted = zoo.least_squares(x, y.argmax(axis=1), y.shape[1])
        reached = {
            "training": fitted.accuracy(x, y.argmax(axis=1)),
            "test": fitted.accuracy(x_test, y_test.argmax(axis=1)),
        }
        say(f"least squares: accuracy {reached['training']:.4f} in training, {reached['test']:.4f} in the test")
        return reached

    def _fit(self, interruption: Interruption) -> None:
        if self.early_stop.is_due(self.progress.history):
            return
        callbacks = [self.progress, self.early_stop, self.keeper, interruption]
        options: dict[str, Any] = {"epochs": self.epochs, "initial_epoch": self.done, "verbose": 0}
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # Progress tells of a loss that is no number
                self.trainer.fit(
                    *self.data.train, batch_size=self.arguments["batch_size"], validation_data=self.data.test,
                    callbacks=callbacks, **options,
                )  # fmt: skip
        finally:
            self.progress.close()

    def _save(self, status: str, *, weights: bool = True, pictures: bool = True) -> None:
        """Everything but the test."""
        record = self.record.now(status)
        self._all(
            lambda: self.output.json(RECORD, record),
            self.keeper.save_best,
            *([lambda: self.output.weights(self.model)] if weights else []),
            lambda: self.output.history(self.progress.history),
            *([lambda: self._draw(record)] if pictures else []),
        )

    def _finish(self) -> None:
        """Save what the training made, then judge and show it; only then is it finished, and its state of no use."""
        self._save("running", pictures=False)
        counts = self.subject.counts
        test = {"classes": self.data.names, "confusion_matrix": counts.tolist()}
        finished = self.record.now("finished", test)
        try:
            self._all(
                lambda: self.output.model(self.model),
                lambda: self.output.classes(class_table(counts, self.data.names)),
                lambda: self._draw(finished, is_tested=True),
                lambda: self.output.json(RECORD, finished),
                self.output.drop_state,
            )
        finally:
            best = [best_in_words(self.progress.history)] if self.arguments["best"] else []
            self._close(*_in_words(counts, self.data.names), *best)
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
            x, y = self.data.test
            data = Labelled(x, y.argmax(axis=1), self.data.names)
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
            self.trainer.load_state(state)
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


def _device(kind: str) -> dict[str, str]:
    """A device and its name; DeviceMissing where there is no GPU, before anything is loaded."""
    return {"kind": kind, "name": require_device() if kind == "cuda" else processor_name()}


def title(arguments: dict[str, Any]) -> str:
    """What a run is called: after its data set, or its folder."""
    return arguments["dataset"] or arguments["folder"].name


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
