"""Scaling of the loss, so that gradients of 16 bits do not vanish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...errors import InvalidArgument
from .. import arguments
from ..files.states import Restored, State
from .base import Optimizer


class LossScaleOptimizer(Optimizer):
    """An optimizer behind a loss scale that finds its size by itself (Micikevicius et al. 2018, arXiv:1710.03740).

    Training multiplies the loss by the scale and this divides the gradients by it. A step whose gradients are not
    finite is left out and halves the scale; after `dynamic_growth_steps` good ones in a row the scale doubles.

    Parameters
    ----------
    inner_optimizer : Optimizer
    initial_scale : float
    dynamic_growth_steps : int
    name : str, optional

    Attributes
    ----------
    dynamic_scale : float

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> w = Tensor(np.ones(1, np.float32), requires_grad=True)
    >>> optimizer = LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=1024)
    >>> optimizer.apply_gradients([(np.array([np.inf]), w)])
    >>> float(w.data[0]), optimizer.dynamic_scale
    (1.0, 512.0)
    >>> optimizer.apply_gradients([(np.array([512.0]), w)])
    >>> float(w.data[0])
    0.5
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer) or isinstance(inner_optimizer, LossScaleOptimizer):
            raise arguments.wrong(self, "inner_optimizer", inner_optimizer, "another optimizer")
        if inner_optimizer.loss_scale_factor is not None:
            raise InvalidArgument("the inner optimizer has a loss_scale_factor, which this one is there for; leave it")
        self.inner_optimizer = inner_optimizer
        super().__init__(0.0, name=name)
        self.initial_scale = arguments.real(self, "initial_scale", initial_scale, above=0)
        self.dynamic_growth_steps = arguments.whole(self, "dynamic_growth_steps", dynamic_growth_steps, 1)
        self.dynamic_scale, self.step_counter = self.initial_scale, 0

    @property
    def learning_rate(self) -> Any:
        """That of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if vars(self).get("iterations") is not None:  # not the base's own, while this one is made
            self.inner_optimizer.learning_rate = value

    @property
    def schedule(self) -> Any:
        return self.inner_optimizer.schedule

    def scale_loss(self, loss: Any) -> Any:
        return loss * self.dynamic_scale

    def _change_all(self, weights: Sequence[Tensor], scale: float = 1.0) -> None:
        """A step by the gradients of all processes, so that all of these skip the same ones."""
        gradients = [w.grad for w in weights if w.grad is not None]
        if not all(bool(np.isfinite(g).all()) for g in gradients):
            self.dynamic_scale, self.step_counter = self.dynamic_scale / 2, 0
            return
        self.inner_optimizer._change_all(weights, scale / self.dynamic_scale)
        self.iterations = self.inner_optimizer.iterations
        self.step_counter += 1
        if self.step_counter == self.dynamic_growth_steps:
            self.dynamic_scale, self.step_counter = self.dynamic_scale * 2, 0

    @property
    def variables(self) -> list[Any]:
        return [np.array(self.step_counter), np.array(self.dynamic_scale), *self.inner_optimizer.variables]

    def carried(self, carry: Callable[[Any], Any]) -> list[State]:
        return self.inner_optimizer.carried(carry)

    def adopt(self, states: list[State]) -> None:
        self.inner_optimizer.adopt(states)

    def follow(self, owner: Any) -> None:
        super().follow(owner)
        self.inner_optimizer.follow(owner)

    def get_state(self, names: Mapping[str, Tensor] | None = None) -> dict[str, np.ndarray]:
        own = {"dynamic_scale": np.array(self.dynamic_scale), "step_counter": np.array(self.step_counter)}
        return own | self.inner_optimizer.get_state(names)

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.inner_optimizer.set_state(self._take_scale(state))
        self.iterations = self.inner_optimizer.iterations

    def fitted(
        self, state: Mapping[str, np.ndarray], names: Mapping[str, Tensor], trainable: Sequence[Tensor]
    ) -> Restored:
        return self.inner_optimizer.fitted(self._take_scale(state), names, trainable)

    def restore(self, restored: Restored, loose: bool = False) -> None:
        self.inner_optimizer.restore(restored, loose)
        self.iterations = self.inner_optimizer.iterations

    def _take_scale(self, state: Any) -> dict[str, np.ndarray]:
        """The inner optimizer's part of a state; the scale is taken over."""
        if not isinstance(state, Mapping) or "dynamic_scale" not in state or "step_counter" not in state:
            raise InvalidArgument("the saved state is not one of LossScaleOptimizer: its scale is missing")
        rest = {**state}
        self.dynamic_scale = arguments.real(self, "dynamic_scale", rest.pop("dynamic_scale"), above=0)
        self.step_counter = arguments.whole(self, "step_counter", rest.pop("step_counter"), 0)
        return rest

    def swap_averages(self, weights: Sequence[Tensor]) -> None:
        self.inner_optimizer.swap_averages(weights)

    def finalize_variable_values(self, weights: Sequence[Tensor]) -> None:
        self.inner_optimizer.finalize_variable_values(weights)


def scaled(optimizer: Optimizer) -> Optimizer:
    """An optimizer behind a loss scale, if it is not, and has no scale of its own."""
    if isinstance(optimizer, LossScaleOptimizer) or optimizer.loss_scale_factor is not None:
        return optimizer
    return LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
