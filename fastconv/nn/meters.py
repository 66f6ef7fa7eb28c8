"""The running loss and metrics of an epoch or an evaluation.

On a device a step writes its loss and the sums of its metrics into the next row of a journal, and nothing waits for
them: rows are copied to the host when someone asks for the values, all that are new at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from . import metrics as known
from .metrics import Metric

#: Metrics' functions -> what ``fastconv.cuda.samples.add_scores`` calls them, and the name of their number.
SCORES: dict[Any, tuple[str, str | None]] = {
    known.categorical_accuracy: ("categorical", None),
    known.sparse_categorical_accuracy: ("sparse", None),
    known.top_k_categorical_accuracy: ("top_k", "k"),
    known.sparse_top_k_categorical_accuracy: ("sparse_top_k", "k"),
    known.binary_accuracy: ("binary", "threshold"),
    known.squared_error: ("squared", None),
    known.absolute_error: ("absolute", None),
}
NUMBERS = {"k": 5, "threshold": 0.5}
ROWS = 256  # of the journal


class Meter:
    """Loss and metrics over batches, on the host."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics, self.total, self.count = metrics, 0.0, 0
        for metric in metrics:
            metric.reset_state()

    @property
    def by_order(self) -> bool:
        """Whether all metrics look only at which outputs are larger than others, so that logits will do."""
        return False

    def score(self, y: Any, outputs: Any) -> None:
        """Take in what the model made of a batch, before its loss."""
        for metric in self.metrics:
            metric.update_state(y, outputs)

    def add(self, loss: Any, size: int) -> None:
        """Take in the mean loss of a batch of `size` samples."""
        self.total += float(loss) * size
        self.count += size

    def logs(self) -> Mapping[str, float]:
        """The means so far; on a device they are read when they are looked at."""
        return {"loss": self.total / max(1, self.count), **{m.name: m.result() for m in self.metrics}}

    def results(self) -> dict[str, float]:
        """The means so far."""
        return dict(self.logs())


class DeviceMeter(Meter):
    """Loss and metrics that stay on the device until somebody asks for them.

    A metric of one's own, a function or an object not known here, needs the outputs on the host: they are copied.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        super().__init__(metrics)
        kinds = [_kind(metric) for metric in metrics]
        self._on_device = [(m, *kind) for m, kind in zip(metrics, kinds, strict=True) if kind is not None]
        self._on_host = [m for m, kind in zip(metrics, kinds, strict=True) if kind is None]
        self._journal: Any = None
        self._sizes: list[tuple[int, int]] = []  # samples, and rows of outputs, of each step that was not read yet

    @property
    def by_order(self) -> bool:
        from ..cuda.samples import BY_CLASS

        return not self._on_host and all(kind in BY_CLASS for _, kind, _ in self._on_device)

    def score(self, y: Any, outputs: Any) -> None:
        from ..cuda import samples

        for metric in self._on_host:
            metric.update_state(y.numpy(), outputs.numpy())
        place = self._place(outputs.dtype)
        self._scored = outputs.size // outputs.shape[-1]
        for j, (metric, kind, number) in enumerate(self._on_device, 1):
            numbered = kind.startswith("sparse")
            if y.size != (self._scored if numbered else outputs.size):
                raise InvalidArgument(f"metric {metric.name!r} got labels {y.shape} for outputs {outputs.shape}")
            labels = y if numbered else y.astype(outputs.dtype, copy=False)
            samples.add_scores(labels.handle, outputs.handle, self._journal.handle, place + j, kind=kind, number=number)

    def add(self, loss: Any, size: int) -> None:
        from ..cuda import samples

        place = self._place(loss.dtype)
        samples.note(loss.handle, self._journal.handle, place)
        self._sizes.append((size, self._scored if self._on_device else size))
        if len(self._sizes) == ROWS:
            self._read()

    def logs(self) -> Mapping[str, float]:
        return _Running(self)

    def results(self) -> dict[str, float]:
        self._read()
        return dict(super().logs())

    def _place(self, dtype: np.dtype) -> int:
        """Where the step's row begins."""
        from ..cuda import array, backend

        width = 1 + len(self._on_device)
        if self._journal is None:
            self._journal = array.Array(backend.empty((ROWS * width,), dtype))
        return len(self._sizes) * width

    def _read(self) -> None:
        """Bring the new rows to the host."""
        if not self._sizes:
            return
        width = 1 + len(self._on_device)
        rows = self._journal[: len(self._sizes) * width].numpy().reshape(-1, width)
        for (size, scored), (loss, *sums) in zip(self._sizes, rows.tolist(), strict=True):
            super().add(loss, size)
            for (metric, kind, _), value in zip(self._on_device, sums, strict=True):
                metric.total += value
                metric.count += scored if kind in _PER_ROW else size
        self._sizes.clear()


class _Running(Mapping[str, float]):
    """A meter's values, read from the device when one of them is wanted."""

    def __init__(self, meter: DeviceMeter) -> None:
        self._meter, self._names = meter, ("loss", *(m.name for m in meter.metrics))
        self._values: dict[str, float] | None = None

    def __getitem__(self, name: str) -> float:
        if name not in self._names:
            raise KeyError(name)
        if self._values is None:
            self._values = self._meter.results()
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


_PER_ROW = ("categorical", "sparse", "top_k", "sparse_top_k")  # one value per row of outputs, not per sample


def _kind(metric: Metric) -> tuple[str, float] | None:
    """How the device scores a metric: its kind and its number; None where it must see the outputs on the host."""
    if type(metric).update_state is not Metric.update_state:
        return None
    function: Any = metric.function
    given: dict[str, Any] = {}
    if isinstance(function, partial):
        function, given = function.func, function.keywords
    if function not in SCORES:
        return None
    kind, name = SCORES[function]
    return kind, 0.0 if name is None else given.get(name, NUMBERS[name])


def meter_of(metrics: Sequence[Metric], device: str) -> Meter:
    """A new meter for a model on `device`."""
    return DeviceMeter(metrics) if device == "cuda" else Meter(metrics)
