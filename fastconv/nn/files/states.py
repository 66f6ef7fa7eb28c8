"""What an optimizer keeps for each weight: found by the weight itself, whatever is frozen, swapped or added."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...errors import InvalidArgument, shown
from ...ops.halves import cast, is_floating, is_half
from ..formats.named import Arrays
from ..modelling.placing import carrier, device_of


class State:
    """One weight's arrays, and how many steps changed it."""

    def __init__(self, weight: Tensor | None, arrays: tuple[Any, ...], steps: int = 0) -> None:
        self.weight, self.arrays, self.steps = weight, arrays, steps
        self._checked: tuple[Any, ...] = ()  # the weight's array and the others, when they were found to fit

    def suits(self, values: Any) -> bool:
        """Whether these arrays were found to fit a weight's array, and both are still the same."""
        return len(self._checked) == 2 and self._checked[0] is values and self._checked[1] is self.arrays

    def note_fit(self, values: Any) -> None:
        """They fit."""
        self._checked = values, self.arrays


class Restored(NamedTuple):
    """What was read from a file and fits."""

    iterations: int
    learning_rate: float | None
    states: list[State]


class States:
    """All states of an optimizer, in the order in which the weights were first changed.

    Notes
    -----
    States that came by copying an optimizer, or from `Optimizer.set_state`, belong to no weight yet: they go to the
    weights of the first step, in order, if number and shapes agree.
    """

    def __init__(self, states: Sequence[State] = (), loose: bool = False) -> None:
        self.all, self.loose = list(states), loose

    def of(self, weights: Sequence[Tensor], slots: Sequence[str], fills: Mapping[str, float]) -> list[State]:
        """The states of these weights, on their devices; those of a new weight are zeros, or what `fills` says."""
        known = {id(state.weight): state for state in self.all}
        if self.loose and self.all and not any(id(w) in known for w in weights):
            self.all = assigned(self.all, weights)
            known = {id(state.weight): state for state in self.all}
        self.loose = False
        return [self._current(known.get(id(w)), w, slots, fills) for w in weights]

    def arrays(self) -> list[Any]:
        """What is kept for all weights."""
        return [a for state in self.all for a in state.arrays]

    def _current(self, state: State | None, weight: Tensor, slots: Sequence[str], fills: Mapping[str, float]) -> State:
        if state is not None and state.suits(weight.values):
            return state
        if state is None:
            state = State(weight, tuple(np.zeros_like(weight.data) for _ in slots))
            for slot, array in zip(slots, state.arrays, strict=True):
                if fills.get(slot):
                    array[...] = fills[slot]
            self.all.append(state)
        if any(a.shape != weight.shape for a in state.arrays):
            raise InvalidArgument(
                f"a weight has the shape {weight.shape} but the optimizer's state for it is {state.arrays[0].shape}; "
                "compile the model with a new optimizer"
            )
        device = device_of(weight.data)
        if any(device_of(a) != device for a in state.arrays):
            state.arrays = tuple(map(carrier(device), state.arrays))
        state.note_fit(weight.values)
        return state

    def carried(self, carry: Callable[[Any], Any]) -> list[State]:
        """Copies whose arrays `carry` has brought to another device."""
        return [State(s.weight, tuple(map(carry, s.arrays)), s.steps) for s in self.all]

    def saved(self, slots: Sequence[str], names: Mapping[str, Tensor] | None) -> Arrays:
        """As named arrays: by the weights' names, or by place."""
        if names is None:
            named = {str(i): state for i, state in enumerate(self.all)}
        else:
            known = {id(state.weight): state for state in self.all}
            named = {name: known[id(w)] for name, w in names.items() if id(w) in known}
        arrays: Arrays = {}
        for name, state in named.items():
            arrays |= {f"{name}/{slot}": ops.to_host(a) for slot, a in zip(slots, state.arrays, strict=True)}
            if state.arrays:
                arrays[f"{name}/steps"] = np.array(state.steps)
        return arrays


def assigned(states: Sequence[State], weights: Sequence[Tensor]) -> list[State]:
    """States that belong to no weight, given to weights one by one."""
    shapes = [s.arrays[0].shape if s.arrays else w.shape for s, w in zip(states, weights, strict=False)]
    if len(states) != len(weights) or shapes != [w.shape for w in weights]:
        raise InvalidArgument(
            f"the optimizer holds the state of {len(states)} weights, which are not, one by one, of the shapes of the "
            f"{len(weights)} that are to be trained; make a new optimizer, or freeze the layers that were frozen then"
        )
    return [State(w, s.arrays, s.steps) for s, w in zip(states, weights, strict=True)]


def parsed(arrays: Mapping[str, np.ndarray], slots: Sequence[str], kind: str) -> tuple[Restored, dict[str, State]]:
    """What `Optimizer.get_state` gave, checked by itself; the states, without weights, by the names in it."""
    iterations = _number(arrays, "iterations", kind)
    if iterations != math.floor(iterations):
        raise InvalidArgument(f"the saved state has iterations={iterations}; expected a whole number")
    rate = _number(arrays, "learning_rate", kind) if "learning_rate" in arrays else None
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        name, _, slot = key.rpartition("/")
        if name:
            found.setdefault(name, {})[slot] = array
    states = {}
    for name, held in found.items():
        missing, unknown = set(slots) - set(held), set(held) - {*slots, "steps"}
        if missing or unknown:
            what = f"{min(missing)!r} is missing" if missing else f"it has {min(unknown)!r:.80}"
            raise InvalidArgument(f"the saved state is not one of {kind}: {what} for weight {shown(name)}")
        steps = _number(held, "steps", kind) if "steps" in held else iterations
        kept = tuple(np.array(held[slot]) for slot in slots)  # copies
        if any(a.shape != kept[0].shape or not is_floating(a.dtype) for a in kept):
            raise InvalidArgument(f"the saved state of weight {shown(name)} is damaged: its arrays differ in shape")
        states[name] = State(None, kept, int(steps))
    if any(key not in ("iterations", "learning_rate") and "/" not in key for key in arrays):
        raise InvalidArgument(f"the saved state is not one of {kind}: it holds {sorted(arrays)!r:.100}")
    return Restored(int(iterations), rate, []), states


def by_place(states: Mapping[str, State]) -> list[State] | None:
    """States that were saved by place, in order; None if they were saved by name."""
    if not all(name.isdecimal() for name in states):
        return None
    return [states[name] for name in sorted(states, key=int)]


def fitting(states: Mapping[str, State], names: Mapping[str, Tensor], trainable: Sequence[Tensor]) -> list[State]:
    """States with the weights they belong to, or an error: by name, or by place as older files have them."""
    placed = by_place(states)
    if placed is not None:
        pairs = assigned(placed, trainable) if placed else []
    else:
        strange = next((name for name in states if name not in names), None)
        if strange is not None:
            raise InvalidArgument(f"the saved state is that of another model: there is no weight {shown(strange)}")
        pairs = [State(names[name], state.arrays, state.steps) for name, state in states.items()]
    for state in pairs:
        weight = state.weight
        assert weight is not None
        if is_half(weight.dtype):  # files may hold them in float32
            state.arrays = tuple(cast(a, weight.dtype) for a in state.arrays)
        for array in state.arrays:
            if array.shape != weight.shape or array.dtype != weight.dtype:
                raise InvalidArgument(
                    f"the saved state has arrays {array.shape} ({array.dtype}) for a weight {weight.shape} "
                    f"({weight.dtype}); the model must be built as it was when the state was saved"
                )
    return pairs


def _number(arrays: Mapping[str, np.ndarray], key: str, kind: str) -> float:
    """A finite number of at least 0 among saved arrays."""
    if key not in arrays:
        raise InvalidArgument(f"the saved state is not one of {kind}: {key!r} is missing")
    array = np.asarray(arrays[key])
    if array.shape != () or array.dtype.kind not in "iuf" or not (array >= 0 and np.isfinite(array)):
        raise InvalidArgument(f"the saved state has {key} {array!r:.80}; expected a number of at least 0")
    return array.item()
