"""Exponential moving averages of weights, which an optimizer keeps with ``use_ema=True``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...autograd import Tensor
from ...ops import updates
from ..files.states import State
from .keeping import Keeper


class Averaging(Keeper):
    """What an optimizer does with the averages of its weights: the last array that it keeps for each."""

    fills: Mapping[str, float]
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None
    _swapped = False

    def finalize_variable_values(self, weights: Sequence[Tensor]) -> None:
        """With `use_ema`, put the averages in the weights' places, as `fit` does when it ends."""
        if self._swapped:
            self.swap_averages(weights)
        for w, average in self._averages(weights):
            w.values[...] = average
            w.version += 1

    def swap_averages(self, weights: Sequence[Tensor]) -> None:
        """With `use_ema`, exchange weights and their averages, until this is called again or `fit` ends."""
        self._swapped = not self._swapped
        for w, average in self._averages(weights):
            kept = w.values.copy()
            w.values[...] = average
            average[...] = kept
            w.version += 1

    def _averages(self, weights: Sequence[Tensor]) -> list[tuple[Tensor, Any]]:
        """Weights that were changed, and their averages."""
        if not self.use_ema:
            return []
        states = self._states.of(weights, self.all_slots, self.fills)
        return [(w, state.arrays[-1]) for w, state in zip(weights, states, strict=True) if state.steps]

    def _average(self, changed: list[tuple[Tensor, State]]) -> None:
        beginning: list[tuple[Any, Any]] = []
        going_on: list[tuple[Any, Any]] = []
        for w, state in changed:
            is_new = self.iterations == 1 or (state.steps == 1 and not self.gradient_accumulation_steps)
            (beginning if is_new else going_on).append((state.arrays[-1], w.values))
        for groups, momentum in ((beginning, 0.0), (going_on, self.ema_momentum)):
            if groups:
                updates.together("average", groups, (momentum, 1 - momentum))
        if self.ema_overwrite_frequency and self.iterations % self.ema_overwrite_frequency == 0:
            for w, state in changed:
                w.values[...] = state.arrays[-1]
                w.version += 1
