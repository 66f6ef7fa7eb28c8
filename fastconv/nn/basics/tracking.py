"""What a layer or a model holds: its own weights, and the layers and models inside of it, found where they are now.

Nothing is registered: lists may grow and attributes may be replaced at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ... import ops
from ...autograd import Tensor
from ...errors import InvalidArgument, shown
from ...ops.halves import is_floating
from .. import arguments
from ..configs import Configured

Way = tuple[str, ...]


class Parameter(Tensor):
    """A layer's array: a tensor with a name, and what is done to it beside the gradient step."""

    __slots__ = ("autocast", "constraint", "name", "regularizer")

    def __init__(
        self,
        name: str,
        data: np.ndarray,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        autocast: bool = True,
    ) -> None:
        super().__init__(
            arguments.tensor("Parameter", "data", data),
            requires_grad=arguments.flag("Parameter", "trainable", trainable),
        )
        self.name = arguments.text("Parameter", "name", name)
        self.regularizer, self.constraint = regularizer, constraint
        self.autocast = autocast  # whether layers of mixed precision convert it before they compute with it

    @property
    def value(self) -> Parameter:
        """The weight itself, whose gradient programs for Keras's PyTorch backend read as ``w.value.grad``."""
        return self

    def assign(self, values: Any) -> Parameter:
        """`put`, of the weight's shape, under Keras's name; returns the weight."""
        array = arguments.host_array("assign", "values", values)
        if array.shape != self.shape:
            raise InvalidArgument(f"weight {shown(self.name)} has shape {self.shape} but was given {array.shape}")
        self.put(array)
        return self

    def put(self, values: Any) -> None:
        """Replace the elements, wherever they lie."""
        self.values[...] = values if isinstance(self.values, np.ndarray) else ops.to_device(values)
        self.version += 1


class Holder(Configured):
    """Base of layers and models: what has weights, and layers inside."""

    name: str
    settable = ("name", "trainable")
    _trainable = True

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets it for all layers inside too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for _, holder in walk(self):
            holder._trainable = bool(value)

    @property
    def own_weights(self) -> list[Parameter]:
        """The weights without those of layers inside."""
        return []

    def held(self) -> Iterator[tuple[Way, Holder]]:
        """The layers and models directly inside, each with the way to it."""
        return iter(())

    def _owned(self) -> list[tuple[Way, Holder, Parameter]]:
        """All weights, each once, with the layer that has it and the way there."""
        return owned_weights([self])

    def note_device(self, device: str) -> None:
        """The weights were brought to a device."""

    @property
    def weights(self) -> list[Parameter]:
        """All weights, those of layers inside included, each once."""
        return [w for _, _, w in self._owned()]

    @property
    def trainable_weights(self) -> list[Parameter]:
        """The weights that training changes."""
        found: dict[int, Parameter] = {}
        _collect(self, found, set())
        return list(found.values())

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        """The weights that training leaves alone, such as moving statistics."""
        changed = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in changed]

    @property
    def variables(self) -> list[Parameter]:
        """Keras's name for `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Parameter]:
        """Keras's name for `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Parameter]:
        """Keras's name for `non_trainable_weights`."""
        return self.non_trainable_weights

    @property
    def _title(self) -> str:
        """What messages call it."""
        return f"layer {shown(self.name)}"

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights."""
        return [w.data.copy() if isinstance(w.data, np.ndarray) else w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights; number and shapes must agree."""
        owned = [(holder, weight) for _, holder, weight in self._owned()]
        given = arguments.items("set_weights", "weights", weights, "a list of arrays")
        if len(given) != len(owned):
            raise InvalidArgument(f"{self._title} has {len(owned)} weights but {len(given)} were given")
        arrays = [arguments.host_array("set_weights", w.name, a) for (_, w), a in zip(owned, given, strict=True)]
        for (holder, weight), array in zip(owned, arrays, strict=True):
            check_weight(holder, weight, array, "was given")
        for (_, weight), array in zip(owned, arrays, strict=True):
            weight.put(array)

    def count_params(self) -> int:
        """Number of weights, trainable or not."""
        return sum(w.size for w in self.weights)


def walk(*roots: Holder) -> Iterator[tuple[Way, Holder]]:
    """The roots and all that is inside of them, each once, from the outside in; a root is never found inside another.

    The way to a root is its name.
    """
    seen = {id(root) for root in roots}
    for root in dict.fromkeys(roots):
        yield from _descend((root.name,), root, seen)


def _descend(path: Way, holder: Holder, seen: set[int]) -> Iterator[tuple[Way, Holder]]:
    yield path, holder
    for way, inner in holder.held():
        if id(inner) not in seen:
            seen.add(id(inner))
            yield from _descend((*path, *way), inner, seen)


def owned_weights(roots: Iterable[Holder]) -> list[tuple[Way, Holder, Parameter]]:
    """All weights of layers or models, each once, with the layer that has it and the way there."""
    found = ((path, holder, w) for path, holder in walk(*roots) for w in holder.own_weights)
    unique: dict[int, tuple[Way, Holder, Parameter]] = {}
    for path, holder, weight in found:
        unique.setdefault(id(weight), (path, holder, weight))
    return list(unique.values())


def named_weights(model: Holder) -> dict[str, tuple[Holder, Parameter]]:
    """Every weight, with its layer, by a name that no other has: ``layer/weight``, ``layer/attribute/.../weight``.

    Raises
    ------
    InvalidArgument
        Two weights have the same name: a file would hold only one of them.
    """
    found: dict[str, tuple[Holder, Parameter]] = {}
    for path, holder, weight in owned_weights([model]):
        name = "/".join((*path[1:], weight.name))
        if name in found:
            raise InvalidArgument(
                f"two weights are named {name!r:.150}, so that a file would hold only one of them; "
                "set the name of one of the two layers, or weights, to something else"
            )
        found[name] = holder, weight
    return found


def check_weight(layer: Holder, weight: Parameter, array: np.ndarray, verb: str) -> None:
    """`array` must be able to replace `weight`."""
    if array.shape != weight.shape or not (array.dtype.kind in "iub" or is_floating(array.dtype)):
        raise InvalidArgument(
            f"weight {shown(weight.name)} of layer {shown(layer.name)} has shape {weight.shape} but {verb} "
            f"{array.shape} ({array.dtype}); the model must be built as it was when the weights were made"
        )


def found_in(values: Mapping[str, Any], kind: type) -> Iterator[tuple[Way, Any]]:
    """The objects of a kind among attributes, and in their lists, tuples and dicts, with the way to each."""
    for name, value in values.items():
        yield from _search((name,), value, kind, ())


def _search(path: Way, value: Any, kind: type, outer: tuple[Any, ...]) -> Iterator[tuple[Way, Any]]:
    if isinstance(value, kind):
        yield path, value
        return
    if not isinstance(value, (list, tuple, dict, set, frozenset)) or any(value is o for o in outer):
        return
    if isinstance(value, (set, frozenset)):
        if any(isinstance(item, kind) for item in value):
            raise InvalidArgument(
                f"{'.'.join(path)!r:.100} is a set with layers or weights in it, which has no order to name them by; "
                "use a list or a dict"
            )
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if not isinstance(item, (int, float, str)):  # most of what long lists hold
            yield from _search((*path, str(key)), item, kind, (*outer, value))


def _collect(holder: Holder, found: dict[int, Parameter], seen: set[int]) -> None:
    """Add what is trainable, by identity; what a frozen holder keeps may still be reached from another one."""
    if not holder._trainable or id(holder) in seen:
        return
    seen.add(id(holder))
    for w in holder.own_weights:
        if w.requires_grad:
            found[id(w)] = w
    for _, inner in holder.held():
        _collect(inner, found, seen)
