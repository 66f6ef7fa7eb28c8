"""Optimizers: how gradients change weights."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..errors import InvalidArgument
from ..ops import updates
from . import arguments
from .configs import Configured, resolved
from .names import find
from .parts import current as part_of_batch
from .states import Restored, State, States, by_place, fitting, parsed


class Optimizer(Configured):
    """Base of all optimizers.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a function of the number of steps done.
    decay : float
        Step t uses ``learning_rate/(1 + decay*t)``.
    clipnorm : float, optional
        Gradients of one weight array that are longer are scaled to this length.
    clipvalue : float, optional
        Each gradient is brought into [-clipvalue, clipvalue].
    lr : float, optional
        Old name of `learning_rate`.
    name : str, optional
    """

    family = "optimizers"
    aliases = ("lr",)
    extensions = ("decay",)
    fixed = {"ema_momentum": 0.99}
    slots: tuple[str, ...] = ()
    """Names of the arrays that are kept for each weight."""

    def __init__(
        self,
        learning_rate: Any = 0.01,
        *,
        decay: float = 0.0,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        lr: Any = None,
        name: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate if lr is None else lr
        self.decay = arguments.real(self, "decay", decay, 0)
        self.clipnorm = None if clipnorm is None else arguments.real(self, "clipnorm", clipnorm, above=0, finite=False)
        self.clipvalue = (
            None if clipvalue is None else arguments.real(self, "clipvalue", clipvalue, above=0, finite=False)
        )
        self.name = type(self).__name__.lower() if name is None else arguments.text(self, "name", name)
        self.iterations = 0
        self._states = States()
        self._steps = 0  # of the weights that are being changed, this one included
        self._owner: weakref.ref[Any] | None = None

    @property
    def learning_rate(self) -> Any:
        """The learning rate, before decay; may be set at any time."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._learning_rate: Any
        if callable(value):
            self._learning_rate = arguments.function(self, "learning_rate", value, ("step",))
        else:
            self._learning_rate = arguments.real(self, "learning_rate", value, 0, note=" or a function of the step")

    @property
    def lr(self) -> Any:
        """Old name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    @property
    def keras_order(self) -> tuple[tuple[str, ...], ...]:
        """The slots in the order of Keras's files: all weights' arrays of the first group, weight by weight, ..."""
        return (self.slots,) if self.slots else ()

    def current_rate(self) -> float:
        """The rate of the next step."""
        rate: Any = self._learning_rate
        if callable(rate):
            rate = arguments.result_of(self, "learning_rate", rate, self.iterations)
            rate = arguments.real(self, f"learning_rate({self.iterations})", rate, 0)
        return rate / (1 + self.decay * self.iterations)

    def apply(self, weights: Sequence[Tensor]) -> None:
        """One step: change every weight by its gradient; in a `DataParallel` training, by that of the whole batch.

        What is kept for a weight stays with it: weights may be left out and come back, and new ones may come.

        Examples
        --------
        >>> w = Tensor(np.array([1.0]), requires_grad=True)
        >>> (w * w).sum().backward()
        >>> SGD(0.25).apply([w])
        >>> w.data
        array([0.5])
        """
        if not isinstance(weights, Sequence) or not all(isinstance(w, Tensor) for w in weights):
            raise arguments.wrong(self, "weights", weights, "a list of tensors")
        part = part_of_batch()
        if part is not None:
            part.sum_gradients(weights)
        states = self._states.of(weights, self.slots)
        rate = self.current_rate()
        by_steps: dict[int, list[tuple[Tensor, State]]] = {}
        for w, state in zip(weights, states, strict=True):
            if w.grad is not None:
                state.steps += 1
                by_steps.setdefault(state.steps, []).append((w, state))
        for self._steps, changed in by_steps.items():
            self._change(changed, rate)
        self._steps = 0
        self.iterations += 1

    def _change(self, changed: list[tuple[Tensor, State]], rate: float) -> None:
        """A step of weights that all have had the same number of steps."""
        changes = [(w.data, state.arrays, _in_order(w.grad)) for w, state in changed]
        if self._is_fused():
            groups = [(w, *(state or (w,)), self._clipped(g)) for w, state, g in changes]
            name, numbers = self.rule(rate)
            updates.together(name, groups, **numbers)
        else:
            for w, state, g in changes:
                self.step(w, self._clipped(g), rate, *state)
        for tensor, _ in changed:
            tensor.version += 1

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

    def rule(self, rate: float) -> tuple[str, dict[str, Any]]:
        """The function of `fastconv.ops.updates` that is one step, and its numbers."""
        raise NotImplementedError

    def step(self, w: Any, g: Any, rate: float, *state: Any) -> None:
        """Change `w` and `state` in place: NumPy's arrays, or a GPU's."""
        name, numbers = self.rule(rate)
        getattr(updates, name)(w, *(state or (w,)), g, **numbers)

    def _is_fused(self) -> bool:
        """Whether `rule` says it all: all weights are then changed at once."""
        return type(self).step is Optimizer.step

    def _clipped(self, g: np.ndarray) -> np.ndarray:
        if self.clipvalue is not None:
            g = np.clip(g, -self.clipvalue, self.clipvalue)
        return g if self.clipnorm is None else updates.shortened(g, self.clipnorm)

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
        if not callable(self._learning_rate):
            state["learning_rate"] = np.array(self._learning_rate)
        return state | self._states.saved(self.slots, names)

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `get_state` gave, without names: the weights of the next step must be those, in order."""
        if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
            raise arguments.wrong(self, "state", state, "the arrays that get_state() gave, by name")
        restored, states = parsed(state, self.slots, type(self).__name__)
        placed = by_place(states)
        if placed is None:
            raise InvalidArgument("the saved state goes by the names of weights; use the model's load_state")
        self.restore(restored._replace(states=placed), loose=True)

    def fitted(
        self, state: Mapping[str, np.ndarray], names: Mapping[str, Tensor], trainable: Sequence[Tensor]
    ) -> Restored:
        """What `get_state` gave, with or without names, checked against the weights: for `restore`."""
        restored, states = parsed(state, self.slots, type(self).__name__)
        return restored._replace(states=fitting(states, names, trainable))

    def restore(self, restored: Restored, loose: bool = False) -> None:
        """Continue from a state that was read."""
        self.iterations = restored.iterations
        if restored.learning_rate is not None:
            self.learning_rate = restored.learning_rate
        self._states = States(restored.states, loose)


class SGD(Optimizer):
    """Gradient descent with momentum: v = momentum*v - rate*g; w += v (or, with `nesterov`, momentum*v - rate*g).

    Parameters
    ----------
    learning_rate : float
    momentum : float
    nesterov : bool
    **keywords
        `decay`, `clipnorm`, `clipvalue`, `lr`, `name` of `Optimizer`.
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **keywords: Any
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.momentum = arguments.real(self, "momentum", momentum, 0, 1)
        self.nesterov = arguments.flag(self, "nesterov", nesterov)
        self.slots = ("velocity",) if self.momentum else ()

    def rule(self, rate: float) -> tuple[str, dict[str, Any]]:
        return "sgd", {"rate": rate, "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Steps along the running mean of g over the root of that of g*g (Kingma & Ba 2015, arXiv:1412.6980).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
    **keywords
        `decay`, `clipnorm`, `clipvalue`, `lr`, `name` of `Optimizer`.
    """

    slots = ("mean", "square")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.beta_1 = arguments.real(self, "beta_1", beta_1, 0, below=1)
        self.beta_2 = arguments.real(self, "beta_2", beta_2, 0, below=1)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)

    def rule(self, rate: float) -> tuple[str, dict[str, Any]]:
        t = self._steps or self.iterations + 1
        rate *= math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return "adam", {"rate": rate, "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class RMSprop(Optimizer):
    """Steps along g over the root of the running mean of g*g (Hinton 2012).

    Parameters
    ----------
    learning_rate, rho, momentum, epsilon : float
    **keywords
        `decay`, `clipnorm`, `clipvalue`, `lr`, `name` of `Optimizer`.
    """

    slots = ("velocity", "square")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.rho = arguments.real(self, "rho", rho, 0, below=1)
        self.momentum = arguments.real(self, "momentum", momentum, 0, 1)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)

    @property
    def keras_order(self) -> tuple[tuple[str, ...], ...]:
        return (("square",), ("velocity",)) if self.momentum else (("square",),)

    def rule(self, rate: float) -> tuple[str, dict[str, Any]]:
        return "rmsprop", {"rate": rate, "rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon}


KNOWN: dict[str, type[Optimizer]] = {
    name: kind for kind in (SGD, Adam, RMSprop) for name in (kind.__name__.lower(), kind.__name__)
}


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name, a class or an object."""
    identifier = resolved(identifier)
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return arguments.result_of("optimizers.get", "identifier", identifier)
    return find("optimizer", identifier, KNOWN)()


def _in_order(g: Any) -> Any:
    """A gradient whose elements lie in order."""
    return np.asarray(g, order="C") if isinstance(g, np.ndarray) else g
