"""What an optimizer keeps, as Keras 3 writes it: iteration, learning rate, and its arrays in an order of their own.

What Keras has no place for goes into a group of ours beside it, which Keras does not look at: the number of steps of
each weight, the exact learning rate, the states of random generators. With it a training goes on bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from . import hdf5, keras3
from .named import Arrays

Named = list[tuple[str, np.ndarray]]
KERAS, OURS = f"{keras3.OPTIMIZER}/{keras3.VARS}", "fastconv"
INNER = f"{keras3.OPTIMIZER}/inner_optimizer/{keras3.VARS}"
"""Where Keras has the arrays of an optimizer behind a loss scale, a second time."""
OF_OPTIMIZER = "optimizer/"
UNUSED_RATE = "rate_of_the_scale"  # which Keras's loss scale has as any optimizer, and does not use
KINDS = {
    "iterations": np.int64, "learning_rate": np.float32, UNUSED_RATE: np.float32, "step_counter": np.int32,
    "dynamic_scale": np.float32,
}  # fmt: skip


def write(root: Any, model: Any, names: Mapping[int, str], state: Arrays) -> None:
    """Write a training state: the arrays of ``optimizer/...`` and ``generators``."""
    outer, inner = in_order(model, names, state)
    _write(root.create_group(KERAS), model.optimizer.name, outer + inner)
    if outer:
        _write(root.create_group(INNER), inner_of(model.optimizer).name, inner)
    write_rest(root, state, outer + inner)


def in_order(model: Any, names: Mapping[int, str], state: Arrays) -> tuple[Named, Named]:
    """The arrays of a training state that Keras has, in its order and dtypes: those of a loss scale, and the others."""
    parts = _of_scale(model.optimizer), _of_weights(inner_of(model.optimizer), model, names)
    outer, inner = ([(key, _as_keras(key, state.get(key, first))) for key, first in part] for part in parts)
    return outer, inner


def write_rest(root: Any, state: Arrays, named: Named) -> None:
    """Write what is not among the arrays that Keras has, or not as exactly."""
    written = dict(named)
    exact = {f"{OF_OPTIMIZER}iterations", f"{OF_OPTIMIZER}learning_rate"}
    for key, array in state.items():
        if key not in written or key in exact:
            hdf5.put_array(root, f"{OURS}/{key}", array)


def _write(group: Any, name: str, named: Named) -> None:
    group.attrs["name"] = name
    for number, (_, array) in enumerate(named):
        hdf5.put_array(group, str(number), array)


def _as_keras(key: str, array: np.ndarray) -> np.ndarray:
    return np.asarray(array, KINDS.get(key.removeprefix(OF_OPTIMIZER)))


def inner_of(optimizer: Any) -> Any:
    """The optimizer that keeps arrays for weights: the one itself, or that behind a loss scale."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _order(model: Any, names: Mapping[int, str]) -> Iterator[tuple[str, np.ndarray]]:
    """The names of the state's arrays in Keras's order, each with what it is before the first step."""
    yield from _of_scale(model.optimizer)
    yield from _of_weights(inner_of(model.optimizer), model, names)


def _of_scale(optimizer: Any) -> Iterator[tuple[str, np.ndarray]]:
    if inner_of(optimizer) is not optimizer:
        yield f"{OF_OPTIMIZER}iterations", np.array(0)
        yield f"{OF_OPTIMIZER}{UNUSED_RATE}", np.array(0.0)
        yield f"{OF_OPTIMIZER}step_counter", np.array(0)
        yield f"{OF_OPTIMIZER}dynamic_scale", np.array(optimizer.initial_scale)


def _of_weights(optimizer: Any, model: Any, names: Mapping[int, str]) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{OF_OPTIMIZER}iterations", np.array(0)
    if optimizer.schedule is None:
        yield f"{OF_OPTIMIZER}learning_rate", np.array(optimizer.learning_rate)
    common = [(slot,) for slot in ("average", "accumulated") if slot in optimizer.all_slots]
    for slots in (*common, *optimizer.keras_order):
        yield from _slots(model, names, slots)


def _slots(model: Any, names: Mapping[int, str], slots: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    for weight in model.trainable_weights:
        for slot in slots:
            first = np.full(weight.shape, inner_of(model.optimizer).fills.get(slot, 0), weight.dtype)
            yield f"{OF_OPTIMIZER}{names[id(weight)]}/{slot}", first


def numbered(found: Mapping[str, Any], source: str) -> list[Any]:
    """The arrays that Keras 3 has of an optimizer, in their order, from those of a file."""
    theirs = {key.removeprefix(f"{KERAS}/"): item for key, item in found.items() if key.startswith(f"{KERAS}/")}
    order = list(map(str, range(len(theirs))))
    if set(theirs) != set(order):
        raise hdf5.damaged(source, f"the arrays in {KERAS} are not numbered from 0 on")
    return [theirs[number] for number in order]


def read(found: Mapping[str, Any], theirs: Sequence[Any], model: Any, names: Mapping[int, str], source: str) -> Arrays:
    """A training state; empty where there is none.

    Parameters
    ----------
    found : dict
        All arrays of the file.
    theirs : list
        Of these the optimizer's, in Keras's order.

    Raises
    ------
    InvalidArgument
        The optimizer keeps other arrays than the file has.
    """
    own = {key.removeprefix(f"{OURS}/"): item for key, item in found.items() if key.startswith(f"{OURS}/")}
    order = list(_order(model, names))
    short = sum(1 for key, _ in order if key.count("/") == 1)
    if len(theirs) == short < len(order):  # of an optimizer that has not begun
        order = order[:short]
    if theirs and len(theirs) != len(order):
        raise InvalidArgument(
            f"{source} has {len(theirs)} arrays of an optimizer, but `{type(model.optimizer).__name__}` keeps "
            f"{len(order)} for the weights that are trained; load the model with compile=False, and compile it"
        )
    state: Arrays = {}
    for (key, first), item in zip(order if theirs else (), theirs, strict=True):
        state[key] = _checked(item, first.shape, key, source)
    if len(order) > short and theirs:  # and what Keras keeps only where it is used
        state = {**dict(_slots(model, names, inner_of(model.optimizer).all_slots)), **state}
    rate = f"{OF_OPTIMIZER}learning_rate"
    if rate in state and np.float32(model.optimizer.learning_rate) == np.float32(state[rate]):
        state[rate] = np.array(model.optimizer.learning_rate)  # which is not rounded
    state.pop(f"{OF_OPTIMIZER}{UNUSED_RATE}", None)
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
