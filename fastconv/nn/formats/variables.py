"""What an optimizer keeps, as Keras 3 writes it: iteration, learning rate, and its arrays in an order of their own.

What Keras has no place for goes into a group of ours beside it, which Keras does not look at: the number of steps of
each weight, the exact learning rate, the states of random generators. With it a training goes on bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from . import hdf5, keras3
from .named import Arrays

KERAS, OURS = f"{keras3.OPTIMIZER}/{keras3.VARS}", "fastconv"
OF_OPTIMIZER = "optimizer/"


def write(root: Any, model: Any, names: Mapping[int, str], state: Arrays) -> None:
    """Write a training state: the arrays of ``optimizer/...`` and ``generators``."""
    group = root.create_group(KERAS)
    group.attrs["name"] = model.optimizer.name
    written = set()
    for number, (key, like) in enumerate(_order(model, names)):
        array = state.get(key)
        written.add(key)
        group.create_dataset(str(number), data=_as_keras(key, np.zeros_like(like) if array is None else array))
    exact = {f"{OF_OPTIMIZER}iterations", f"{OF_OPTIMIZER}learning_rate"}
    for key, array in state.items():
        if key not in written or key in exact:
            root.create_dataset(f"{OURS}/{key}", data=array)


def _as_keras(key: str, array: np.ndarray) -> np.ndarray:
    kinds = {f"{OF_OPTIMIZER}iterations": np.int64, f"{OF_OPTIMIZER}learning_rate": np.float32}
    return np.asarray(array, kinds.get(key))


def _order(model: Any, names: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    """The names of the state's arrays in Keras's order, each with an array of its shape."""
    optimizer, weights = model.optimizer, model.trainable_weights
    yield f"{OF_OPTIMIZER}iterations", np.array(0)
    if not callable(optimizer.learning_rate):
        yield f"{OF_OPTIMIZER}learning_rate", np.array(0.0)
    for slots in optimizer.keras_order:
        for weight in weights:
            for slot in slots:
                yield f"{OF_OPTIMIZER}{names[id(weight)]}/{slot}", weight.data


def read(found: Mapping[str, Any], model: Any, names: Mapping[int, str], source: str) -> Arrays:
    """A training state from the arrays of a file; empty where there is none.

    Raises
    ------
    InvalidArgument
        The optimizer keeps other arrays than the file has.
    """
    own = {key.removeprefix(f"{OURS}/"): item for key, item in found.items() if key.startswith(f"{OURS}/")}
    theirs = {key.removeprefix(f"{KERAS}/"): item for key, item in found.items() if key.startswith(f"{KERAS}/")}
    order = list(_order(model, names))
    short = 2 if not callable(model.optimizer.learning_rate) else 1
    if len(theirs) == short < len(order):  # of an optimizer that has not begun
        order = order[:short]
    if theirs and (len(theirs) != len(order) or set(theirs) != set(map(str, range(len(order))))):
        raise InvalidArgument(
            f"{source} has {len(theirs)} arrays of an optimizer, but `{type(model.optimizer).__name__}` keeps "
            f"{len(order)} for the weights that are trained; load the model with compile=False, and compile it"
        )
    state: Arrays = {}
    for number, (key, like) in enumerate(order if theirs else []):
        state[key] = _checked(theirs[str(number)], like.shape, key, source)
    rate = f"{OF_OPTIMIZER}learning_rate"
    if rate in state and np.float32(model.optimizer.learning_rate) == np.float32(state[rate]):
        state[rate] = np.array(model.optimizer.learning_rate)  # which is not rounded
    weights = sum(w.data.nbytes for w in model.weights)
    for key, item in own.items():
        if hdf5.header(item).nbytes > weights + (1 << 20):
            raise hdf5.damaged(source, f"{key} is larger than all weights")
        state[key] = hdf5.array(item)
    return state


def _checked(item: Any, shape: tuple[int, ...], key: str, source: str) -> np.ndarray:
    if tuple(item.shape) != tuple(shape):
        raise InvalidArgument(f"{source} holds {key} of shape {tuple(item.shape)}; expected {tuple(shape)}")
    return hdf5.array(item)
