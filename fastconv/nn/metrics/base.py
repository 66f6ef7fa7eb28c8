"""What a metric is: something counted over batches, and what the counts come to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from .. import arguments, initializers
from ..basics.arrays import aligned, host_pair
from ..basics.names import snake_case
from ..configs import Configured, deserialize, serialize
from ..fitting.weighting import beside


class Count(np.ndarray):
    """A number, or an array of them, that a metric of one's own counts with; made by `Metric.add_weight`."""

    def assign(self, value: Any) -> Count:
        """Replace the elements."""
        self[...] = np.asarray(value)
        return self

    def assign_add(self, value: Any) -> Count:
        """Add to the elements."""
        return self.assign(self + np.asarray(value))

    def assign_sub(self, value: Any) -> Count:
        """Subtract from the elements."""
        return self.assign(self - np.asarray(value))

    def numpy(self) -> np.ndarray:
        """The elements as an array of their own."""
        return np.array(self)


class Metric(Configured):
    """Base of all metrics.

    A metric of your own makes its counts with `add_weight`, changes them in ``update_state(y_true, y_pred,
    sample_weight=None)``, which gets arrays, and says in ``result()`` what they come to.

    Parameters
    ----------
    name : str, optional
        By default that of the class in snake case.
    dtype : dtype, optional
        Of the counts, if it is one of floats; else, and by default, these are float64.

    Examples
    --------
    >>> class Largest(Metric):
    ...     def __init__(self, **options):
    ...         super().__init__(**options)
    ...         self.most = self.add_weight(name="most", initializer="zeros")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.most.assign(np.maximum(self.most, np.abs(y_pred - y_true).max()))
    ...     def result(self):
    ...         return self.most
    >>> metric = Largest()
    >>> metric.update_state(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    >>> float(metric.result()), metric.name
    (0.5, 'largest')
    """

    family = "metrics"
    name: str

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        own = snake_case(type(self).__name__)
        self.name = own if name is None else arguments.text(self, "name", name) or own
        self.dtype = None if dtype is None else arguments.dtype(self, "dtype", dtype)
        self.variables: list[Count] = []
        self._begin: list[np.ndarray] = []

    def add_weight(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Count:
        """Make something to count with: an array that `reset_state` brings back to what it began with."""
        own = np.dtype(np.float64) if self.dtype is None or self.dtype.kind != "f" else self.dtype
        dtype = own if dtype is None else arguments.dtype(self, "dtype", dtype)
        shape = arguments.shape(self, "shape", () if shape is None else shape, "a tuple of whole numbers", least=0)
        initializer = initializers.get("zeros" if initializer is None else initializer)
        first = arguments.result_of(self, "initializer", initializer, shape)
        first = arguments.host_array(self, "what the initializer made", first)
        if first.shape != shape:
            raise InvalidArgument(f"the initializer of a metric's state made shape {first.shape}; expected {shape}")
        count = np.array(first, dtype).view(Count)
        self.variables.append(count)
        self._begin.append(np.array(count))
        return count

    add_variable = add_weight

    def reset_state(self) -> None:
        """Forget everything."""
        for count, first in zip(self.variables, self._begin, strict=True):
            count[...] = first

    def reset_states(self) -> None:
        """Old name of `reset_state`."""
        self.reset_state()

    def update_state(self, *values: Any, **options: Any) -> Any:
        """Take in a batch: (y_true, y_pred, sample_weight=None)."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_state(y_true, y_pred, sample_weight)")

    def result(self) -> Any:
        """What was counted so far comes to."""
        raise NotImplementedError(f"{type(self).__name__} does not define result()")

    def __call__(self, *values: Any, **options: Any) -> Any:
        """Take in a batch; returns the result so far."""
        arguments.result_of(self, "update_state", partial(self.update_state, *values, **options))
        return self.result()


class _Average(Metric):
    """What running means share."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self.total: float = 0.0
        self.count: float = 0

    def result(self) -> Any:
        """The mean."""
        return self.total / self.count if self.count else 0.0

    def _take(self, values: np.ndarray, sample_weight: Any) -> None:
        if sample_weight is None:
            self.total += float(values.sum())
            self.count += values.size
        else:
            weights = np.broadcast_to(beside(sample_weight, values.shape, values), values.shape)
            self.total += float((values * weights).sum())
            self.count += float(weights.sum())


class MeanMetricWrapper(_Average):
    """The mean of a function's values over everything since `reset_state`.

    Parameters
    ----------
    fn : callable
        (y_true, y_pred) -> one value per sample, or one for the batch.
    name : str, optional
        By default the function's.
    dtype : dtype, optional
    **options
        Further arguments of the function.

    Examples
    --------
    >>> from fastconv.nn.metrics import categorical_accuracy
    >>> metric = MeanMetricWrapper(categorical_accuracy)
    >>> metric.update_state([[0, 1]], [[0.2, 0.8]])
    >>> metric.update_state([[0, 1]], [[0.8, 0.2]])
    >>> metric.result()
    0.5
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **options: Any) -> None:
        function = partial(fn, **options) if options and callable(fn) else fn
        self.function = arguments.function(self, "fn", function, ("y_true", "y_pred"))
        super().__init__(str(getattr(fn, "__name__", "metric")) if name is None else name, dtype)

    def get_config(self) -> dict[str, Any]:
        options = self._given[1] if type(self) is MeanMetricWrapper else {}
        return {**{name: serialize(value) for name, value in options.items()}, **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        if cls is not MeanMetricWrapper:
            return super().from_config(config)
        return cls(**{name: deserialize(value) for name, value in config.items()})

    def function_for(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> Callable[..., Any]:
        """The function for labels and outputs of these shapes."""
        return self.function

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch; labels (N,) and outputs (N, 1) are brought to one shape first."""
        y_true, y_pred = host_pair(y_true, y_pred)
        function = self.function_for(y_true.shape, y_pred.shape)
        y_true, y_pred = aligned(y_true, y_pred)
        values = arguments.result_of(self, "function", function, y_true, y_pred)
        values = arguments.host_array(self, f"what {shown(self.name)} returned", values).astype(np.float64, copy=False)
        if values.ndim == 0:  # a function that gives one number for the batch
            values = np.full(len(y_pred) if y_pred.ndim else 1, float(values))
        self._take(values, sample_weight)


class ByShape(MeanMetricWrapper):
    """A metric whose function follows from the shapes of labels and outputs, as Keras chooses what "accuracy" means."""

    def __init__(self, choose: Callable[[tuple[int, ...], tuple[int, ...]], Callable[..., Any]], name: str) -> None:
        self.choose = choose
        super().__init__(choose, name)

    def function_for(self, y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> Callable[..., Any]:
        return self.choose(y_true, y_pred)


class Mean(_Average):
    """The mean of numbers, such as the losses of a `train_step` of one's own.

    Examples
    --------
    >>> mean = Mean("loss")
    >>> mean.update_state([1.0, 2.0])
    >>> mean.update_state(6.0)
    >>> mean.result()
    3.0
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take in some numbers, and weights for them."""
        self._take(_numbers(values), sample_weight)


class Sum(_Average):
    """The sum of numbers.

    Examples
    --------
    >>> total = Sum()
    >>> total.update_state([1.0, 2.0])
    >>> total.result()
    3.0
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take in some numbers, and weights for them."""
        self._take(_numbers(values), sample_weight)

    def result(self) -> Any:
        """The sum."""
        return self.total


def _numbers(values: Any) -> np.ndarray:
    return np.asarray(arguments.host_array(None, "values", values), np.float64)
