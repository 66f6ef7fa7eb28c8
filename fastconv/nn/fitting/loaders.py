"""Batches that another object makes: generators, PyTorch's data loaders, Keras's sequences and data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ...errors import InvalidArgument, shown
from .feeding import Batch, Feed, on_device

ARRAYS = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__", "shape")


class PyDataset:
    """Batches by number: derive from it and define ``__len__`` and ``__getitem__``, as for Keras's `PyDataset`.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Of Keras, where they change nothing but how fast batches come: here each is asked for when its turn comes.

    Examples
    --------
    >>> class Ones(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return np.ones((8, 4)), np.ones(8)
    >>> Ones().num_batches
    3
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    @property
    def num_batches(self) -> int:
        """The number of batches of an epoch."""
        return len(self)

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__()")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__(index)")

    def on_epoch_begin(self) -> None:
        """Called before each pass."""

    def on_epoch_end(self) -> None:
        """Called after each pass."""


def is_loader(x: Any) -> bool:
    """Whether `x` gives batches, and is not itself something like an array.

    Examples
    --------
    >>> is_loader(zip([1], [2])), is_loader([1, 2]), is_loader(np.zeros(3)), is_loader(range(3))
    (True, False, False, False)
    """
    if isinstance(x, (str, bytes, bytearray, Sequence, Mapping, set, frozenset, type)):
        return False
    if any(hasattr(x, name) for name in ARRAYS):
        return False
    return hasattr(x, "__next__") or hasattr(x, "__iter__") or _is_indexed(x)


def unpack(data: Any) -> Batch:
    """Samples, labels and weights of what a loader gave: x, (x,), (x, y) or (x, y, sample_weight)."""
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise InvalidArgument(
            f"a batch is {shown(data)}, a series of {len(data)}; expected x, (x, y) or (x, y, sample_weight)"
        )
    x, y, weights = (*data, None, None)[:3]
    return x, y, weights


class LoadedFeed(Feed):
    """Batches of a loader, each read, checked and brought to the model's device when its turn comes.

    Parameters
    ----------
    source : iterator, iterable, or object with ``__len__`` and ``__getitem__``
        The last kind may have ``on_epoch_begin`` and ``on_epoch_end``, which are called round each pass.
    read : callable
        Makes checked arrays of a batch (x, y, weights).
    device : str
    """

    def __init__(self, source: Any, read: Callable[..., Batch], device: str) -> None:
        self._source, self._read, self._device = source, read, device
        self._indexed = _is_indexed(source) and not hasattr(source, "__next__")
        self._started: Iterator[Any] | None = None
        self.x, self.y, self.weights = self._first()
        self.dtype = self.x.dtype

    def __len__(self) -> int:
        return len(self._source)

    @property
    def samples(self) -> int | None:
        return None

    def steps(self, size: int) -> int | None:
        try:
            return len(self._source)
        except TypeError:  # a generator, or a loader of a stream
            return None

    def order(self, generator: np.random.Generator) -> np.ndarray | None:
        return generator.permutation(len(self._source)) if self._indexed else None

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[Batch]:
        getattr(self._source, "on_epoch_begin", _nothing)()
        for data in self._pass(order):
            batch = self._read(*unpack(data))
            yield batch if self._device == "cpu" else on_device(batch)
        getattr(self._source, "on_epoch_end", _nothing)()

    def _pass(self, order: np.ndarray | None) -> Iterator[Any]:
        if self._indexed:
            return (self._source[int(i)] for i in (range(len(self._source)) if order is None else order))
        started, self._started = self._started, None
        return iter(self._source) if started is None else started

    def _first(self) -> Batch:
        """The first batch, which a pass will give again: it says what the model is built for."""
        if self._indexed:
            if not len(self._source):
                raise InvalidArgument(f"{shown(self._source)} has no batch; expected at least one")
            return self._read(*unpack(self._source[0]))
        iterator = iter(self._source)
        for data in iterator:
            self._started = chain([data], iterator)
            return self._read(*unpack(data))
        raise InvalidArgument(f"{shown(self._source)} gives no batch; expected at least one")


def _is_indexed(x: Any) -> bool:
    return hasattr(x, "__len__") and hasattr(x, "__getitem__")


def _nothing() -> None:
    pass
