"""From gradients to changed weights: gradients are gathered and clipped, weights decayed, and all changed at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...ops import updates
from ...ops.halves import put_back, widened
from ..files.states import State
from .averaging import Averaging

Changed = tuple[Tensor, State, Any]  # a weight, what is kept for it, its gradient


class Changing(Averaging):
    """What an optimizer does in a step, beside finding its numbers."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    loss_scale_factor: float | None
    _undecayed: tuple[set[int], tuple[str, ...]]
    _steps = 0
    """Of the weights that are being changed, this one included."""

    def current_rate(self) -> float:
        """The rate of the next step."""
        raise NotImplementedError

    def rule(self, rate: float) -> tuple[str, tuple[float, ...]]:
        """The rule of `fastconv.cpu.update_rules` that is one step, and its numbers."""
        raise NotImplementedError

    def step(self, w: Any, g: Any, rate: float, *state: Any) -> None:
        """Change `w` and `state` in place: NumPy's arrays, or a GPU's."""
        name, numbers = self.rule(rate)
        updates.together(name, [(w, *state, g)], numbers)

    def _change_all(self, weights: Sequence[Tensor], scale: float = 1.0) -> None:
        """One step of all weights that have gradients, by these times `scale`."""
        states = self._states.of(weights, self.all_slots, self.fills)
        changing = [(w, s, _in_order(w.grad)) for w, s in zip(weights, states, strict=True) if w.grad is not None]
        scale /= self.loss_scale_factor or 1
        if self.gradient_accumulation_steps:
            changing, scale = self._accumulated(changing, scale), 1 / self.gradient_accumulation_steps
        if changing:
            self._step_all(changing, scale)
        self.iterations += 1
        if self.use_ema:
            self._average([(w, s) for w, s in zip(weights, states, strict=True) if w.grad is not None])

    def _accumulated(self, changing: list[Changed], scale: float) -> list[Changed]:
        """Add up gradients: every so many steps weights with the sums for gradients, in between none."""
        place, every = self.all_slots.index("accumulated"), self.gradient_accumulation_steps or 1
        if changing:
            updates.together("sum", [(state.arrays[place], g) for _, state, g in changing], scale=scale)
        return [] if (self.iterations + 1) % every else [(w, s, s.arrays[place]) for w, s, _ in changing]

    def _step_all(self, changing: list[Changed], scale: float) -> None:
        """Change weights by their gradients times `scale`, those together that have had the same number of steps."""
        if self.global_clipnorm is not None:
            length = updates.length_of([g for _, _, g in changing], scale)
            scale *= self.global_clipnorm / max(length, self.global_clipnorm)
        rate = self.current_rate()
        by_steps: dict[int, list[Changed]] = {}
        for changed in changing:
            changed[1].steps += 1
            by_steps.setdefault(changed[1].steps, []).append(changed)
        for self._steps, together in by_steps.items():
            self._change(together, rate, scale)
        self._steps = 0
        if self.gradient_accumulation_steps:
            for _, _, total in changing:
                total[...] = 0

    def _change(self, changed: list[Changed], rate: float, scale: float) -> None:
        """A step of weights that all have had the same number of steps."""
        kept, bounds = len(self.slots), (scale, self.clipvalue or math.inf, self.clipnorm or math.inf)
        keeps = [self._left(w, rate) for w, _, _ in changed]
        if type(self).step is Changing.step:
            name, numbers = self.rule(rate)
            groups = [(w.values, *state.arrays[:kept], g) for w, state, g in changed]
            limits = dict(zip(("scale", "limit", "length"), bounds, strict=True))
            updates.together(name, groups, numbers, keeps=keeps, **limits)
        else:  # a rule of the user's, for one array at a time
            for (w, state, g), keep in zip(changed, keeps, strict=True):
                if keep != 1:
                    w.values[...] = w.values * w.dtype.type(keep)
                places = w.data, *state.arrays[:kept]
                weights, *arrays = wide = tuple(map(widened, places))
                self.step(weights, updates.clipped(widened(g), *bounds), rate, *arrays)
                put_back(wide, places)
        for tensor, _, _ in changed:
            tensor.version += 1

    def _left(self, w: Tensor, rate: float) -> float:
        """What `weight_decay` leaves of a weight."""
        if not self.weight_decay:
            return 1.0
        weights, names = self._undecayed
        if id(w) in weights or any(name in getattr(w, "name", "") for name in names):
            return 1.0
        return 1 - rate * self.weight_decay


def _in_order(g: Any) -> Any:
    """A gradient whose elements lie in order."""
    return np.asarray(g, order="C") if isinstance(g, np.ndarray) else g
