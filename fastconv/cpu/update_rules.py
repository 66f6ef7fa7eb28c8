"""What optimizers do to a weight, as formulas of numbers, of which the kernels of both devices are made (`updates`).

``RULES[name](T)``, T being the numbers' type, is ``step(w, kept, g, ...)``: it gets a weight, what is kept for it, its
gradient, and the numbers that its further arguments name; it returns the weight and what is kept. NaN stays NaN. A
running mean becomes `fresh` parts of what is new.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

Step = Callable[..., Any]


def _sgd(T: Any) -> Step:
    def step(w, kept, g, rate):  # type: ignore[no-untyped-def]
        return w - rate * g, kept

    return step


def _momentum(T: Any, nesterov: bool) -> Step:
    def step(w, kept, g, rate, momentum):  # type: ignore[no-untyped-def]
        move = momentum * kept[0] - rate * g
        return w + (momentum * move - rate * g if nesterov else move), (move,)

    return step


def _adam(T: Any) -> Step:
    def step(w, kept, g, rate, beta_1, beta_2, epsilon):  # type: ignore[no-untyped-def]
        mean = kept[0] + (g - kept[0]) * (T(1) - beta_1)
        square = kept[1] + (g * g - kept[1]) * (T(1) - beta_2)
        return w - rate * mean / (T(math.sqrt(square)) + epsilon), (mean, square)

    return step


def _amsgrad(T: Any) -> Step:
    def step(w, kept, g, rate, beta_1, beta_2, epsilon):  # type: ignore[no-untyped-def]
        mean = kept[0] + (g - kept[0]) * (T(1) - beta_1)
        square = kept[1] + (g * g - kept[1]) * (T(1) - beta_2)
        largest = square if square > kept[2] or square != square else kept[2]
        return w - rate * mean / (T(math.sqrt(largest)) + epsilon), (mean, square, largest)

    return step


def _adamax(T: Any) -> Step:
    def step(w, kept, g, rate, fresh, beta_2, epsilon):  # type: ignore[no-untyped-def]
        mean = kept[0] + (g - kept[0]) * fresh
        size, faded = abs(g), kept[1] * beta_2
        norm = size if size > faded or size != size else faded
        return w - rate * mean / (norm + epsilon), (mean, norm)

    return step


def _nadam(T: Any) -> Step:
    def step(w, kept, g, rate, fresh, fresh_square, ahead, now, correction, epsilon):  # type: ignore[no-untyped-def]
        mean = kept[0] + (g - kept[0]) * fresh
        square = kept[1] + (g * g - kept[1]) * fresh_square
        move = rate * (mean * ahead + g * now)
        return w - move / (T(math.sqrt(square / correction)) + epsilon), (mean, square)

    return step


def _rmsprop(T: Any) -> Step:
    def step(w, kept, g, rate, rho, momentum, epsilon):  # type: ignore[no-untyped-def]
        square = kept[1] + (g * g - kept[1]) * (T(1) - rho)
        move = momentum * kept[0] + rate * g / T(math.sqrt(square + epsilon))
        return w - move, (move, square)

    return step


def _centered_rmsprop(T: Any) -> Step:
    def step(w, kept, g, rate, fresh, momentum, epsilon):  # type: ignore[no-untyped-def]
        square = kept[1] + (g * g - kept[1]) * fresh
        mean = kept[2] + (g - kept[2]) * fresh
        move = momentum * kept[0] + rate * g / T(math.sqrt(square - mean * mean + epsilon))
        return w - move, (move, square, mean)

    return step


def _adagrad(T: Any) -> Step:
    def step(w, kept, g, rate, epsilon):  # type: ignore[no-untyped-def]
        total = kept[0] + g * g
        return w - rate * g / T(math.sqrt(total + epsilon)), (total,)

    return step


def _adadelta(T: Any) -> Step:
    def step(w, kept, g, rate, fresh, epsilon):  # type: ignore[no-untyped-def]
        square = kept[0] + (g * g - kept[0]) * fresh
        delta = T(math.sqrt(kept[1] + epsilon)) * g / T(math.sqrt(square + epsilon))
        return w - rate * delta, (square, kept[1] + (delta * delta - kept[1]) * fresh)

    return step


def _lion(T: Any) -> Step:
    def step(w, kept, g, rate, beta_1, fresh_1, fresh_2):  # type: ignore[no-untyped-def]
        ahead = kept[0] * beta_1 + g * fresh_1
        sign = T(1) if ahead > T(0) else (T(-1) if ahead < T(0) else ahead)
        return w - rate * sign, (kept[0] + (g - kept[0]) * fresh_2,)

    return step


def _ftrl(T: Any, by_root: bool) -> Step:
    def step(w, kept, g, rate, power, l1, shrinkage, l2):  # type: ignore[no-untyped-def]
        total = kept[0] + g * g
        before = T(math.sqrt(kept[0])) if by_root else T(kept[0] ** power)
        after = T(math.sqrt(total)) if by_root else T(total**power)
        linear = kept[1] + (g + shrinkage * w - (after - before) / rate * w)
        near = -l1 if linear < -l1 else (l1 if linear > l1 else linear)
        return (near - linear) / (after / rate + l2), (total, linear)

    return step


def _average(T: Any) -> Step:
    """A running mean w of g."""

    def step(w, kept, g, momentum, fresh):  # type: ignore[no-untyped-def]
        return w * momentum + g * fresh, kept

    return step


def _sum(T: Any) -> Step:
    def step(w, kept, g):  # type: ignore[no-untyped-def]
        return w + g, kept

    return step


RULES: dict[str, Callable[[Any], Step]] = {
    "sgd": _sgd,
    "momentum": partial(_momentum, nesterov=False),
    "nesterov": partial(_momentum, nesterov=True),
    "adam": _adam,
    "amsgrad": _amsgrad,
    "adamax": _adamax,
    "nadam": _nadam,
    "rmsprop": _rmsprop,
    "centered_rmsprop": _centered_rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "lion": _lion,
    "ftrl": partial(_ftrl, by_root=False),
    "ftrl_by_root": partial(_ftrl, by_root=True),
    "average": _average,
    "sum": _sum,
}
