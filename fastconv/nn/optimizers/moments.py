"""Optimizers that step along a running mean of the gradients."""

from __future__ import annotations

import math
from typing import Any

from .. import arguments
from .base import Optimizer


class Adam(Optimizer):
    """Steps along the running mean of g over the root of that of g*g (Kingma & Ba 2015, arXiv:1412.6980).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
    amsgrad : bool
        Whether to divide by the largest running mean of g*g so far (Reddi et al. 2018, arXiv:1904.09237).
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots: tuple[str, ...] = ("mean", "square")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(learning_rate, **keywords)
        self.beta_1 = arguments.real(self, "beta_1", beta_1, 0, below=1)
        self.beta_2 = arguments.real(self, "beta_2", beta_2, 0, below=1)
        self.epsilon = arguments.real(self, "epsilon", epsilon, 0)
        self.amsgrad = arguments.flag(self, "amsgrad", amsgrad)
        if self.amsgrad:
            self.slots = (*self.slots, "largest")

    @property
    def keras_order(self) -> tuple[tuple[str, ...], ...]:
        return (self.slots[:2], self.slots[2:]) if self.amsgrad else (self.slots,)

    def corrected(self, rate: float) -> float:
        """The rate with both running means corrected for their beginning at 0."""
        t = self._steps or self.iterations + 1
        return rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        numbers = self.corrected(rate), self.beta_1, self.beta_2, self.epsilon
        return "amsgrad" if self.amsgrad else "adam", numbers


class AdamW(Adam):
    """`Adam` with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Parameters
    ----------
    learning_rate : float
    weight_decay : float
        Before each step weights become ``(1 - learning_rate*weight_decay)`` times themselves.
    beta_1, beta_2, epsilon, amsgrad
        As for `Adam`.
    **keywords
        Those of `Optimizer`: `clipnorm`, `use_ema`, ...
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **keywords: Any,
    ) -> None:
        if weight_decay is None:
            raise arguments.wrong(
                self, "weight_decay", weight_decay, "a finite number of at least 0; for none use Adam"
            )
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **keywords)


class _Moments(Optimizer):
    """What the optimizers below share: the numbers of running means."""

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


class Adamax(_Moments):
    """`Adam` that divides by the decaying maximum of abs(g) (Kingma & Ba 2015, section 7.1).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots = ("mean", "norm")

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        corrected = rate / (1 - self.beta_1 ** (self._steps or self.iterations + 1))
        return "adamax", (corrected, 1 - self.beta_1, self.beta_2, self.epsilon)


class Nadam(_Moments):
    """`Adam` with Nesterov's look ahead (Dozat 2016).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots = ("mean", "square")

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        t = self._steps or self.iterations + 1
        now, following, product = self._momentum(t), self._momentum(t + 1), self._product(t)
        of_mean, of_gradient = following / (1 - product * following), (1 - now) / (1 - product)
        shares = 1 - self.beta_1, 1 - self.beta_2
        return "nadam", (rate, *shares, of_mean, of_gradient, 1 - self.beta_2**t, self.epsilon)

    def _momentum(self, t: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def _product(self, t: int) -> float:
        """Of the momenta of all steps up to t."""
        product = 1.0
        for i in range(1, t + 1):
            product *= self._momentum(i)
            if product < 1e-20:  # 1 - product is 1
                break
        return product


class Lion(Optimizer):
    """Steps of one length, by the sign of a running mean of g (Chen et al. 2023, arXiv:2302.06675).

    Parameters
    ----------
    learning_rate, beta_1, beta_2 : float
    **keywords
        Those of `Optimizer`: `weight_decay`, `clipnorm`, `use_ema`, ...
    """

    slots = ("mean",)

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **keywords: Any) -> None:
        super().__init__(learning_rate, **keywords)
        self.beta_1 = arguments.real(self, "beta_1", beta_1, 0, 1)
        self.beta_2 = arguments.real(self, "beta_2", beta_2, 0, 1)

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        return "lion", (rate, self.beta_1, 1 - self.beta_1, 1 - self.beta_2)
