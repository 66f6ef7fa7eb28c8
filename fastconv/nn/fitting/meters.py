"""The running loss and metrics of an epoch or an evaluation.

On a device a step writes its loss and the sums of its metrics into the next row of a journal, and nothing waits for
them: rows are copied to the host when someone asks for the values, all that are new at once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, MutableMapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...ops import devices
from .. import metrics as known
from ..basics.structures import leaves, mapped
from ..metrics import MeanMetricWrapper, Metric
from ..utils import class_numbers

#: Metrics' functions -> what `fastconv.ops.devices.note_score` calls them, and the name of their number.
SCORES: dict[Any, tuple[str, str | None]] = {
    known.categorical_accuracy: ("categorical", None),
    known.sparse_categorical_accuracy: ("sparse", None),
    known.top_k_categorical_accuracy: ("top_k", "k"),
    known.sparse_top_k_categorical_accuracy: ("sparse_top_k", "k"),
    known.binary_accuracy: ("binary", "threshold"),
    known.squared_error: ("squared", None),
    known.absolute_error: ("absolute", None),
}
DEFAULTS = {"k": 5, "threshold": 0.5}
ROWS = 256  # of the journal


_running: set[int] = set()  # ids of metrics that a meter is measuring with


class Meter:
    """Loss and metrics over batches, on the host.

    Used in a ``with`` block: the metrics begin anew there. Those that another meter is using, such as that of the epoch
    in which a callback evaluates, go on where they were when the block ends.

    Parameters
    ----------
    metrics : sequence of Metric
        What `score` updates.
    others : sequence of Metric
        What a step of the user's own updates.
    penalty : float
        What is added to the mean loss.
    weighted : sequence of Metric
        What `score` updates with the samples' weights.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        others: Sequence[Metric] = (),
        penalty: float = 0.0,
        weighted: Sequence[Metric] = (),
    ) -> None:
        self.metrics, self.weighted, self.penalty = metrics, weighted, penalty
        self.total, self.count = 0.0, 0
        self._all = list({id(m): m for m in (*metrics, *weighted, *others)}.values())

    def __enter__(self) -> Meter:
        interrupted = [m for m in self._all if id(m) in _running]
        self._states = [(m, _state_of(m)) for m in interrupted]
        self._own = {id(m) for m in self._all} - _running
        _running.update(self._own)
        for metric in self._all:
            metric.reset_state()
        return self

    def __exit__(self, *error: Any) -> None:
        _running.difference_update(self._own)
        for metric, state in self._states:
            vars(metric).update(state)

    @property
    def by_order(self) -> bool:
        """Whether all metrics look only at which outputs are larger than others, so that logits will do."""
        return False

    def score(self, y: Any, outputs: Any, weights: Any = None) -> None:
        """Take in what the model made of a batch, before its loss."""
        y, outputs = mapped(_for_reading, (y, outputs))
        for metric in self.metrics:
            metric.update_state(y, outputs)
        for metric in self.weighted:
            metric.update_state(y, outputs, weights)

    def add(self, loss: Any, size: int) -> None:
        """Take in the mean loss of a batch of `size` samples."""
        self.total += float(loss) * size
        self.count += size

    def logs(self) -> MutableMapping[str, float]:
        """The means so far; on a device they are read when they are looked at."""
        loss = self.total / max(1, self.count) + self.penalty
        return {"loss": loss, **{m.name: m.result() for m in (*self.metrics, *self.weighted)}}

    def results(self) -> dict[str, float]:
        """The means so far."""
        return dict(self.logs())


def _state_of(metric: Metric) -> dict[str, Any]:
    """What a metric has counted; its function stays itself."""
    return copy.deepcopy({name: value for name, value in vars(metric).items() if not callable(value)})


def _on_host(array: Any) -> Any:
    return None if array is None else array.numpy()


def _for_reading(array: Any) -> Any:
    """A view that a metric cannot write to: the gradients need the outputs, and the caller the labels."""
    if array is None:
        return None
    view = array.view()
    view.flags.writeable = False
    return view


class DeviceMeter(Meter):
    """Loss and metrics that stay on the device until somebody asks for them.

    A metric of one's own, a function or an object not known here, needs the outputs on the host: they are copied.

    Parameters
    ----------
    metrics, others, penalty, weighted
        As for `Meter`.
    shapes : pair of tuples
        Of labels and outputs.
    """

    def __init__(self, metrics: Sequence[Metric], shapes: tuple[Any, Any], *rest: Any) -> None:
        super().__init__(metrics, *rest)
        kinds = [_kind(metric, *shapes) for metric in metrics]
        self._on_device = [(m, *kind) for m, kind in zip(metrics, kinds, strict=True) if kind is not None]
        self._on_host = [m for m, kind in zip(metrics, kinds, strict=True) if kind is None]
        self._journal: Any = None
        self._sizes: list[tuple[int, int]] = []  # samples, and rows of outputs, of each step that was not read yet

    @property
    def by_order(self) -> bool:
        return not (self._on_host or self.weighted) and all(kind in _PER_ROW for _, kind, _ in self._on_device)

    def score(self, y: Any, outputs: Any, weights: Any = None) -> None:
        for metric in self._on_host:
            metric.update_state(*mapped(_on_host, (y, outputs)))
        for metric in self.weighted:
            metric.update_state(*mapped(_on_host, (y, outputs, weights)))
        place = self._place(leaves(outputs)[0].dtype)
        if self._on_device:  # which take one output
            self._scored = outputs.size // outputs.shape[-1]
        for j, (metric, kind, number) in enumerate(self._on_device, 1):
            numbered = kind.startswith("sparse")
            if y.size != (self._scored if numbered else outputs.size):
                raise InvalidArgument(f"metric {metric.name!r} got labels {y.shape} for outputs {outputs.shape}")
            labels = y if numbered else y.astype(outputs.dtype, copy=False)
            devices.note_score(labels, outputs, self._journal, place + j, kind, number)

    def add(self, loss: Any, size: int) -> None:
        place = self._place(loss.dtype)
        devices.note(loss, self._journal, place)
        self._sizes.append((size, self._scored if self._on_device else size))
        if len(self._sizes) == ROWS:
            self._read()

    def logs(self) -> MutableMapping[str, float]:
        return _Running(self)

    def results(self) -> dict[str, float]:
        self._read()
        return dict(super().logs())

    def _place(self, dtype: np.dtype) -> int:
        """Where the step's row begins."""
        width = 1 + len(self._on_device)
        if self._journal is None:
            self._journal = devices.empty_on_device((ROWS * width,), dtype)
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
                assert isinstance(metric, MeanMetricWrapper)
                metric.total += value
                metric.count += scored if kind in _PER_ROW else size
        self._sizes.clear()


class _Running(MutableMapping[str, float]):
    """A meter's values, read from the device when one of them is wanted; others may be put beside them."""

    def __init__(self, meter: DeviceMeter) -> None:
        self._meter, self._names = meter, dict.fromkeys(("loss", *(m.name for m in (*meter.metrics, *meter.weighted))))
        self._values: dict[str, float] | None = None

    def _read(self) -> dict[str, float]:
        if self._values is None:
            self._values = self._meter.results()
        return self._values

    def __getitem__(self, name: str) -> float:
        if name not in self._names:
            raise KeyError(name)
        return self._read()[name]

    def __setitem__(self, name: str, value: float) -> None:
        self._read()[name] = value
        self._names[name] = None

    def __delitem__(self, name: str) -> None:
        del self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


#: One value per row of outputs, not per sample, by which of them are larger than others.
_PER_ROW = ("categorical", "sparse", "top_k", "sparse_top_k")


def _kind(metric: Metric, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> tuple[str, float] | None:
    """How the device scores a metric: its kind and its number; None where it must see the outputs on the host."""
    update = MeanMetricWrapper.update_state
    if not isinstance(metric, MeanMetricWrapper) or type(metric).update_state is not update:
        return None
    function: Any = metric.function_for(y_true, y_pred)
    given: dict[str, Any] = {}
    if isinstance(function, partial):
        function, given = function.func, function.keywords
    if function not in SCORES:
        return None
    kind, name = SCORES[function]
    return kind, 0.0 if name is None else given.get(name, DEFAULTS[name])


def check_class_numbers(metrics: Sequence[Metric], y: np.ndarray, outputs: tuple[Any, ...]) -> None:
    """Refuse labels that a metric on a device would take for places outside of its rows of outputs."""
    for metric in metrics:
        kind = _kind(metric, y.shape, outputs)
        if kind is not None and kind[0].startswith("sparse"):
            class_numbers(y, outputs[-1], "y")


def meter_of(device: str, metrics: Sequence[Metric], shapes: tuple[Any, Any], *rest: Any) -> Meter:
    """A new meter for a model on `device`, whose labels and outputs have these shapes; `rest` as for `Meter`."""
    return DeviceMeter(metrics, shapes, *rest) if device == "cuda" else Meter(metrics, *rest)
