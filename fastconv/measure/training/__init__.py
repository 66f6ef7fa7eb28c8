"""The train suite: steps of training and of predicting, fastconv's models against the same ones in other libraries.

All begin with the same weights. Before anything is timed a few steps are done on one batch, gently and without dropout,
whose masks differ: a rival whose losses are not fastconv's does other work, and is not timed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...spec import parse_word
from ...threads import get_num_threads
from ..rivals import Rival
from ..rows import Contest, Entry
from ..timing import interleave_undisturbed
from .models import BATCH, MODELS, Contender, our_contender
from .rivals import TRAINERS, Make

WORK = ("train", "predict")
STEPS = 5  # whose losses are compared
TOLERANCE = 1e-3  # of a loss: rounding grows from step to step, to 1.5e-4 after five


@dataclass(frozen=True)
class TrainingRow(Contest):
    """One model and kind of step: fastconv's time under the name of the work, and each rival's ways."""

    model: str
    work: str
    batch: int
    ours: dict[str, Entry]
    rivals: dict[str, list[Entry]]
    disturbance: float | None
    load: int = 0

    def speed(self, entry: Entry, figure: str = "minimum") -> float:
        """Images a second."""
        return self.batch / getattr(entry.timing, figure) if entry.timing else math.nan

    def as_dict(self) -> dict[str, Any]:
        """The row for a report."""
        return {
            "model": self.model,
            "work": self.work,
            "batch": self.batch,
            "disturbance": self.disturbance,
            "load": self.load,
            "fastconv": self._entry(self.ours[self.work]),
            "rivals": {rival: [self._entry(entry) for entry in found] for rival, found in self.rivals.items()},
            "ratios": {
                rival: {figure: self.ratio(self.work, rival, figure) for figure in ("minimum", "median")}
                for rival in self.rivals
                if self.best(rival)
            },
        }

    def _entry(self, entry: Entry) -> dict[str, Any]:
        known: dict[str, Any] = {"variant": entry.variant}
        if not math.isnan(entry.error):
            known["loss_error"] = entry.error
        if entry.note:
            known["note"] = entry.note
        if entry.timing is not None:
            known |= entry.timing.as_dict() | {"images_per_second": self.speed(entry)}
        return known


def measure_training(
    name: str, rivals: Iterable[Rival] = (), seconds: float = 2.0, batch: int = BATCH
) -> list[TrainingRow]:
    """Check the losses of a model of `MODELS`, then time training and predicting, each for about `seconds`.

    Examples
    --------
    >>> rows = measure_training("lenet", seconds=0.01, batch=4)
    >>> [(row.work, row.speed(row.ours[row.work]) > 0) for row in rows]
    [('train', True), ('predict', True)]
    """
    model = MODELS[parse_word(name, "model", tuple(MODELS))]
    batches, threads = model.batches(batch), get_num_threads()
    expected = _losses(our_contender(model.built(gentle=True), batches))
    contenders: list[tuple[Entry, Contender | None]] = [
        (Entry("fastconv", "Sequential"), our_contender(model.built(), batches))
    ]
    for rival in rivals:
        if rival.name not in TRAINERS:
            continue
        make: Make = TRAINERS[rival.name]
        tried = make(model.built(gentle=True), batches, threads)
        timed = make(model.built(), batches, threads)
        if isinstance(tried, str) or isinstance(timed, str):
            contenders.append((Entry(rival.name, "", note=str(tried)), None))
            continue
        for checked, contender in zip(tried, timed, strict=True):
            entry = _judge(rival.name, checked, expected)
            contenders.append((entry, None if entry.note else contender))
    return [_row(name, work, batch, contenders, seconds) for work in WORK]


def _losses(contender: Contender) -> list[float]:
    return [contender.train(0) for _ in range(STEPS)]


def _judge(who: str, contender: Contender, expected: Sequence[float]) -> Entry:
    """Compare a rival's losses with fastconv's."""
    losses = _losses(contender)
    error = max(abs(theirs - ours) / abs(ours) for theirs, ours in zip(losses, expected, strict=True))
    error = math.inf if math.isnan(error) else error
    note = "" if error <= TOLERANCE else f"other losses than fastconv's (by {error:.2g}, allowed {TOLERANCE:g})"
    return Entry(who, contender.variant, error, note=note)


def _row(
    name: str, work: str, batch: int, contenders: Sequence[tuple[Entry, Contender | None]], seconds: float
) -> TrainingRow:
    calls = {i: _steps(getattr(c, work)) for i, (_, c) in enumerate(contenders) if c is not None}
    timings, disturbance = interleave_undisturbed(calls, seconds)
    entries = [
        Entry(entry.who, entry.variant, entry.error, timings.get(i), entry.note)
        for i, (entry, _) in enumerate(contenders)
    ]
    others: dict[str, list[Entry]] = {}
    for entry in entries[1:]:
        others.setdefault(entry.who, []).append(entry)
    return TrainingRow(name, work, batch, {work: entries[0]}, others, disturbance)


def _steps(step: Callable[[int], Any]) -> Callable[[], Any]:
    """A call that does the step on one batch after the other."""
    numbers = itertools.count()
    return lambda: step(next(numbers))
