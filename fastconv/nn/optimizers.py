"""Optimizers: how gradients change weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..autograd import Tensor
from ..errors import InvalidArgument
from ..ops import updates
from . import arguments
from .names import find


class Optimizer:
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

    slots: tuple[str, ...] = ()

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
        self._state: list[tuple[np.ndarray, ...]] = []

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

    def current_rate(self) -> float:
        """The rate of the next step."""
        rate: Any = self._learning_rate
        if callable(rate):
            rate = arguments.result_of(self, "learning_rate", rate, self.iterations)
            rate = arguments.real(self, f"learning_rate({self.iterations})", rate, 0)
        return rate / (1 + self.decay * self.iterations)

    def apply(self, weights: Sequence[Tensor]) -> None:
        """One step: change every weight by its gradient; the list must be the same at each step.

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
        if not self._state:
            self._state = [tuple(np.zeros_like(w.data) for _ in self.slots) for w in weights]
        fits = all(s.shape == w.shape for w, state in zip(weights, self._state, strict=False) for s in state)
        if len(weights) != len(self._state) or not fits:
            raise InvalidArgument(f"the optimizer was used for {len(self._state)} other weights; make a new one")
        rate = self.current_rate()
        changes = [(w.data, state, w.grad) for w, state in zip(weights, self._state, strict=True) if w.grad is not None]
        if changes and not isinstance(changes[0][0], np.ndarray) and self._is_fused():
            groups = [(w, *(state or (w,)), self._clipped(g)) for w, state, g in changes]
            name, numbers = self.rule(rate)
            updates.together(name, groups, **numbers)
        else:
            for w, state, g in changes:
                g = np.ascontiguousarray(g) if isinstance(g, np.ndarray) else g
                self.step(w, self._clipped(g), rate, *state)
        self.iterations += 1

    def rule(self, rate: float) -> tuple[str, dict[str, Any]]:
        """The function of `fastconv.ops.updates` that is one step, and its numbers."""
        raise NotImplementedError

    def step(self, w: Any, g: Any, rate: float, *state: Any) -> None:
        """Change `w` and `state` in place: NumPy's arrays, or a GPU's."""
        name, numbers = self.rule(rate)
        getattr(updates, name)(w, *(state or (w,)), g, **numbers)

    def _is_fused(self) -> bool:
        """Whether `rule` says it all: a GPU then changes all weights at once."""
        return type(self).step is Optimizer.step

    def _clipped(self, g: np.ndarray) -> np.ndarray:
        if self.clipvalue is not None:
            g = np.clip(g, -self.clipvalue, self.clipvalue)
        return g if self.clipnorm is None else updates.shortened(g, self.clipnorm)

    def carried(self, carry: Callable[[Any], Any]) -> list[tuple[Any, ...]]:
        """The arrays of the state, each brought to another device by `carry`: for `adopt`."""
        return [tuple(map(carry, arrays)) for arrays in self._state]

    def adopt(self, state: list[tuple[Any, ...]]) -> None:
        """Go on with these arrays."""
        self._state = state

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the next step depends on, as named arrays: for saving."""
        state: dict[str, np.ndarray] = {"iterations": np.array(self.iterations)}
        if not callable(self._learning_rate):
            state["learning_rate"] = np.array(self._learning_rate)
        for i, arrays in enumerate(self._state):
            state.update({f"{i}/{slot}": ops.to_host(a) for slot, a in zip(self.slots, arrays, strict=True)})
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from what `get_state` gave."""
        if not isinstance(state, Mapping):
            raise arguments.wrong(self, "state", state, "the arrays that get_state() gave, by name")
        try:
            self.iterations = arguments.whole(self, "iterations", state["iterations"], 0)
            if "learning_rate" in state:
                self.learning_rate = state["learning_rate"]
            count = len({key.split("/")[0] for key in state if "/" in key})
            self._state = [tuple(np.array(state[f"{i}/{slot}"]) for slot in self.slots) for i in range(count)]
        except KeyError as error:
            raise InvalidArgument(
                f"the saved state is not one of {type(self).__name__}: {error.args[0]!r} is missing"
            ) from None


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
        t = self.iterations + 1
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

    def rule(self, rate: float) -> tuple[str, dict[str, Any]]:
        return "rmsprop", {"rate": rate, "rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon}


KNOWN: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "rmsprop": RMSprop,
    "SGD": SGD,
    "Adam": Adam,
    "RMSprop": RMSprop,
}


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name, a class or an object."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return arguments.result_of("optimizers.get", "identifier", identifier)
    return find("optimizer", identifier, KNOWN)()
