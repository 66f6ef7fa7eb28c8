"""What an optimizer keeps: for which model, how it is copied, moved to another device, saved and taken up again."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...errors import InvalidArgument
from .. import arguments
from ..configs import Configured, serialize
from ..files.states import Restored, State, States, by_place, fitting, parsed


class Keeper(Configured):
    """What an optimizer is beside its arithmetic."""

    slots: tuple[str, ...] = ()
    """Names of the arrays that the rule keeps for each weight."""
    learning_rate: Any

    def __init__(self) -> None:
        self.iterations = 0
        self._states = States()
        self._owner: weakref.ref[Any] | None = None

    @property
    def schedule(self) -> Callable[..., Any] | None:
        """The function that gives the learning rate, if there is one."""
        return None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config if self.schedule is None else {**config, "learning_rate": serialize(self.schedule)}

    @property
    def keras_order(self) -> tuple[tuple[str, ...], ...]:
        """The slots in the order of Keras's files: all weights' arrays of the first group, weight by weight, ..."""
        return (self.slots,) if self.slots else ()

    @property
    def all_slots(self) -> tuple[str, ...]:
        """The names of the arrays that are kept for each weight: those of the rule first."""
        return self.slots

    def claim(self, owner: Any) -> None:
        """Train this model and no other.

        Raises
        ------
        InvalidArgument
            It has trained another one: what it keeps is that one's.
        """
        if self._owner is not None and self._owner() is not owner and self.iterations:
            raise InvalidArgument(
                "the optimizer has trained another model, and what it keeps is that one's; give each model one of its "
                f"own, such as optimizer={type(self).__name__}(...)"
            )
        if self._owner is None or self._owner() is not owner:
            self._owner = weakref.ref(owner)

    def __getstate__(self) -> dict[str, Any]:
        """A copy belongs to the model that it is copied with, or to the first one that it trains."""
        return {**vars(self), "_owner": None, "_states": States(self._states.all, loose=True)}

    def follow(self, owner: Any) -> None:
        """Belong to the model that it was copied with, weight by weight."""
        if self._owner is None:
            self._owner, self._states.loose = weakref.ref(owner), False

    def carried(self, carry: Callable[[Any], Any]) -> list[State]:
        """The state, each array brought to another device by `carry`: for `adopt`."""
        return self._states.carried(carry)

    def adopt(self, states: list[State]) -> None:
        """Go on with these states."""
        self._states = States(states, self._states.loose)

    def get_state(self, names: Mapping[str, Tensor] | None = None) -> dict[str, np.ndarray]:
        """Everything the next step depends on, as named arrays: for saving.

        Parameters
        ----------
        names : mapping, optional
            The weights by name; without it what is kept for weights is numbered in the order of their first step.
        """
        state: dict[str, np.ndarray] = {"iterations": np.array(self.iterations)}
        if self.schedule is None:
            state["learning_rate"] = np.array(self.learning_rate)
        return state | self._states.saved(self.all_slots, names)

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `get_state` gave, without names: the weights of the next step must be those, in order."""
        if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
            raise arguments.wrong(self, "state", state, "the arrays that get_state() gave, by name")
        restored, states = parsed(state, self.all_slots, type(self).__name__)
        placed = by_place(states)
        if placed is None:
            raise InvalidArgument("the saved state goes by the names of weights; use the model's load_state")
        self.restore(restored._replace(states=placed), loose=True)

    def fitted(
        self, state: Mapping[str, np.ndarray], names: Mapping[str, Tensor], trainable: Sequence[Tensor]
    ) -> Restored:
        """What `get_state` gave, with or without names, checked against the weights: for `restore`."""
        restored, states = parsed(state, self.all_slots, type(self).__name__)
        return restored._replace(states=fitting(states, names, trainable))

    def restore(self, restored: Restored, loose: bool = False) -> None:
        """Continue from a state that was read."""
        self.iterations = restored.iterations
        if restored.learning_rate is not None:
            self.learning_rate = restored.learning_rate
        self._states = States(restored.states, loose)
