"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops import normalization
from ...spec import parse_flag, parse_real
from ._defined import operation


@operation
def batch_norm(
    x: Any,
    gamma: Any,
    beta: Any,
    *,
    running: tuple[np.ndarray, np.ndarray] | None = None,
    training: bool = True,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    axis: int = -1,
    relu: bool = False,
    part: normalization.Part | None = None,
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta per channel along `axis`; with `relu`, of relu(x).

    In training, mean and (biased) variance are the batch's, and `running`, if given, moves towards them in place:
    running = momentum*running + (1 - momentum)*batch. Otherwise they are `running`. Of a `part` of a batch they are
    those of the whole batch, and dy must be the gradient of the part's own mean loss.
    """
    training, relu = parse_flag(training, "training"), parse_flag(relu, "relu")
    momentum, epsilon = parse_real(momentum, "momentum", "a number"), parse_real(epsilon, "epsilon", "a number")
    if training or running is None:
        y, mean, var = normalization.batch_norm_training(x, gamma, beta, running, momentum, epsilon, axis, relu, part)
    else:
        mean, var = (kept.copy() for kept in running)
        y = normalization.batch_norm(x, mean, var, gamma, beta, epsilon, axis, relu)
    return y, (x, mean, var, gamma, epsilon, axis, relu, training or running is None, part)


@batch_norm.vjp
def _(dy: Any, needs: Any, x: Any, mean: Any, var: Any, gamma: Any, *options: Any) -> tuple[Any, ...]:
    epsilon, axis, relu, training, part = options
    return normalization.batch_norm_grad(dy, x, mean, var, gamma, epsilon, axis, relu, training, needs[0], part)
