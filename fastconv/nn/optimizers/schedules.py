"""Learning rates that follow from the number of steps done: for the `learning_rate` of any optimizer."""

from __future__ import annotations

import math
from typing import Any

from ...errors import InvalidArgument
from .. import arguments
from ..configs import Configured

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]


class LearningRateSchedule(Configured):
    """Base of all schedules: ``schedule(step)`` is the rate of that step, counted from 0.

    Examples
    --------
    >>> class Halved(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5 ** (step // 1000)
    >>> from fastconv.nn.optimizers import SGD
    >>> SGD(Halved()).learning_rate
    0.1
    """

    family = "optimizers.schedules"

    def __call__(self, step: Any) -> float:
        raise NotImplementedError(f"{type(self).__name__} does not define __call__(step)")


class _Decay(LearningRateSchedule):
    """What the schedules below share."""

    def __init__(self, initial_learning_rate: float, decay_steps: float, name: str | None = None) -> None:
        self.initial_learning_rate = arguments.real(self, "initial_learning_rate", initial_learning_rate, 0)
        self.decay_steps = arguments.real(self, "decay_steps", decay_steps, above=0)
        self.name = type(self).__name__ if name is None else arguments.text(self, "name", name)


class _ByRate(_Decay):
    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, name)
        self.decay_rate = arguments.real(self, "decay_rate", decay_rate, 0)
        self.staircase = arguments.flag(self, "staircase", staircase)

    def _decays(self, step: Any) -> float:
        """How many times it has decayed."""
        done = _step(self, step) / self.decay_steps
        return math.floor(done) if self.staircase else done


class ExponentialDecay(_ByRate):
    """initial_learning_rate * decay_rate**(step / decay_steps).

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate : float
    staircase : bool
        Whether to take whole powers only.
    name : str, optional

    Examples
    --------
    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    def __call__(self, step: Any) -> float:
        return self.initial_learning_rate * self.decay_rate ** self._decays(step)


class InverseTimeDecay(_ByRate):
    """initial_learning_rate / (1 + decay_rate * step/decay_steps).

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate : float
    staircase : bool
        Whether to take the whole part of step/decay_steps only.
    name : str, optional

    Examples
    --------
    >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1)(10)
    0.05
    """

    def __call__(self, step: Any) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._decays(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to step boundaries[i], and the last value after all of them.

    Parameters
    ----------
    boundaries : list of float
        Ascending.
    values : list of float
        One more than there are boundaries.
    name : str, optional

    Examples
    --------
    >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> rate(100), rate(101), rate(201)
    (0.1, 0.01, 0.001)
    """

    def __init__(self, boundaries: Any, values: Any, name: str = "PiecewiseConstant") -> None:
        of = ("boundaries", boundaries), ("values", values)
        self.boundaries, self.values = (
            [arguments.real(self, n, v) for v in arguments.items(self, n, given, "a list of numbers")]
            for n, given in of
        )
        if len(self.values) != len(self.boundaries) + 1 or self.boundaries != sorted(self.boundaries):
            raise InvalidArgument(
                f"`PiecewiseConstantDecay`: got {len(self.boundaries)} boundaries, {len(self.values)} values; expected "
                "ascending boundaries, and one value more than these"
            )
        self.name = arguments.text(self, "name", name)

    def __call__(self, step: Any) -> float:
        step = _step(self, step)
        return next((v for b, v in zip(self.boundaries, self.values, strict=False) if step <= b), self.values[-1])


class PolynomialDecay(_Decay):
    """From initial_learning_rate to end_learning_rate in decay_steps, along (1 - step/decay_steps)**power.

    Parameters
    ----------
    initial_learning_rate, decay_steps, end_learning_rate, power : float
    cycle : bool
        Whether to go on beyond the end, with decay_steps twice, three times, ... as long.
    name : str, optional

    Examples
    --------
    >>> PolynomialDecay(0.1, 10, 0.0)(5), PolynomialDecay(0.1, 10, 0.0)(50)
    (0.05, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, name)
        self.end_learning_rate = arguments.real(self, "end_learning_rate", end_learning_rate, 0)
        self.power = arguments.real(self, "power", power, 0)
        self.cycle = arguments.flag(self, "cycle", cycle)

    def __call__(self, step: Any) -> float:
        step, steps = _step(self, step), self.decay_steps
        steps *= max(1, math.ceil(step / steps)) if self.cycle else 1
        left = 1 - min(step, steps) / steps
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate


class CosineDecay(_Decay):
    """Half a cosine from initial_learning_rate to alpha times it, after a linear rise (Loshchilov & Hutter 2017).

    Parameters
    ----------
    initial_learning_rate, decay_steps, alpha : float
    name : str, optional
    warmup_target : float, optional
        Where the rise ends and the decay begins, which takes `decay_steps` after it.
    warmup_steps : float

    Examples
    --------
    >>> rate = CosineDecay(0.0, 1000, warmup_target=0.1, warmup_steps=100)
    >>> rate(0), rate(50), rate(100), round(rate(600), 6), rate(5000)
    (0.0, 0.05, 0.1, 0.05, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, name)
        self.alpha = arguments.real(self, "alpha", alpha, 0)
        self.warmup_steps = arguments.real(self, "warmup_steps", warmup_steps, 0)
        given = warmup_target is not None
        self.warmup_target = arguments.real(self, "warmup_target", warmup_target, 0) if given else None

    def __call__(self, step: Any) -> float:
        step = _step(self, step)
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return start + (self.warmup_target - start) * step / self.warmup_steps
            step, start = step - self.warmup_steps, self.warmup_target
        return start * _cosine(min(1.0, step / self.decay_steps), self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` again and again, each time longer and lower (Loshchilov & Hutter 2017, arXiv:1608.03983).

    Parameters
    ----------
    initial_learning_rate, first_decay_steps : float
    t_mul : float
        What the length of a period is multiplied by for the next; at least 1.
    m_mul : float
        What the first rate of a period is multiplied by for the next.
    alpha : float
        Share of the initial rate that is never left out.
    name : str, optional

    Examples
    --------
    >>> rate = CosineDecayRestarts(0.1, 100)
    >>> rate(0), round(rate(50), 6), rate(100), round(rate(200), 6)
    (0.1, 0.05, 0.1, 0.05)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = arguments.real(self, "initial_learning_rate", initial_learning_rate, 0)
        self.first_decay_steps = arguments.real(self, "first_decay_steps", first_decay_steps, above=0)
        self.t_mul = arguments.real(self, "t_mul", t_mul, 1)
        self.m_mul = arguments.real(self, "m_mul", m_mul, 0)
        self.alpha = arguments.real(self, "alpha", alpha, 0)
        self.name = arguments.text(self, "name", name)

    def __call__(self, step: Any) -> float:
        left, length, height = _step(self, step), self.first_decay_steps, 1.0
        if self.t_mul == 1:
            done = left // length
            left, height = left - done * length, self.m_mul**done
        while left >= length:
            left, length, height = left - length, length * self.t_mul, height * self.m_mul
        return self.initial_learning_rate * _cosine(left / length, self.alpha, height)


def _cosine(done: float, alpha: float, height: float = 1.0) -> float:
    return (1 - alpha) * 0.5 * height * (1 + math.cos(math.pi * done)) + alpha


def _step(owner: Any, step: Any) -> float:
    return arguments.real(owner, "step", step, 0)
