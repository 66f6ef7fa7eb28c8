"""Optimizers that step along the gradients, each element at a rate of its own."""

from __future__ import annotations

from typing import Any

from .. import arguments
from .base import Optimizer
from .changing import Changed


class SGD(Optimizer):
    """Gradient descent with momentum: v = momentum*v - rate*g; w += v (or, with `nesterov`, momentum*v - rate*g).

    Parameters
    ----------
    learning_rate : float
    momentum : float
    nesterov : bool
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **keywords: Any
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.momentum = arguments.real(self, "momentum", momentum, 0, 1)
        self.nesterov = arguments.flag(self, "nesterov", nesterov)
        self.slots = ("velocity",) if self.momentum else ()

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        if not self.momentum:
            return "sgd", (rate,)
        return "nesterov" if self.nesterov else "momentum", (rate, self.momentum)


class RMSprop(Optimizer):
    """Steps along g over the root of the running mean of g*g (Hinton 2012).

    Parameters
    ----------
    learning_rate, rho, momentum, epsilon : float
    centered : bool
        Whether to divide by the root of the running variance of g instead.
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots: tuple[str, ...] = ("velocity", "square")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.rho = arguments.real(self, "rho", rho, 0, below=1)
        self.momentum = arguments.real(self, "momentum", momentum, 0, 1)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)
        self.centered = arguments.flag(self, "centered", centered)
        if self.centered:
            self.slots = (*self.slots, "mean")

    @property
    def keras_order(self) -> tuple[tuple[str, ...], ...]:
        """The slots in the order of Keras's files."""
        more = (("velocity",),) if self.momentum else ()
        return (("square",), *more, *((("mean",),) if self.centered else ()))

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        if self.centered:
            return "centered_rmsprop", (rate, 1 - self.rho, self.momentum, self.epsilon)
        return "rmsprop", (rate, self.rho, self.momentum, self.epsilon)


class Adagrad(Optimizer):
    """Steps along g over the root of the sum of all g*g (Duchi, Hazan & Singer 2011).

    Parameters
    ----------
    learning_rate : float
    initial_accumulator_value : float
        What the sum begins with.
    epsilon : float
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.initial_accumulator_value = arguments.real(self, "initial_accumulator_value", initial_accumulator_value, 0)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)
        self.fills = {"accumulator": self.initial_accumulator_value}

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        return "adagrad", (rate, self.epsilon)


class Adadelta(Optimizer):
    """Steps along g whose length follows from earlier steps (Zeiler 2012, arXiv:1212.5701).

    Parameters
    ----------
    learning_rate, rho, epsilon : float
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots = ("square", "change")

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **keywords: Any) -> None:
        super().__init__(learning_rate, **keywords)
        self.rho = arguments.real(self, "rho", rho, 0, below=1)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        return "adadelta", (rate, 1 - self.rho, self.epsilon)


class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al. 2013): weights of little use become exactly 0 with l1.

    Parameters
    ----------
    learning_rate : float
    learning_rate_power : float
        Of the sum of g*g that the rate is multiplied by; at most 0.
    initial_accumulator_value : float
        What that sum begins with.
    l1_regularization_strength, l2_regularization_strength, l2_shrinkage_regularization_strength, beta : float
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots = ("accumulator", "linear")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.learning_rate_power = arguments.real(self, "learning_rate_power", learning_rate_power, most=0)
        given = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
            "beta": beta,
        }
        for name, value in given.items():
            setattr(self, name, arguments.real(self, name, value, 0))
        self.fills = {"accumulator": given["initial_accumulator_value"]}

    initial_accumulator_value: float
    l1_regularization_strength: float
    l2_regularization_strength: float
    l2_shrinkage_regularization_strength: float
    beta: float

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        shrinkage, l2 = 2 * self.l2_shrinkage_regularization_strength, 2 * self.l2_regularization_strength
        numbers = rate, -self.learning_rate_power, self.l1_regularization_strength, shrinkage, l2 + self.beta / rate
        return "ftrl_by_root" if self.learning_rate_power == -0.5 else "ftrl", numbers

    def _change(self, changed: list[Changed], rate: float, scale: float) -> None:
        if rate:  # the rule divides by it
            super()._change(changed, rate, scale)
