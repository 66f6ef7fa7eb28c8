"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...errors import InvalidArgument
from ...ops import normalization
from ...spec import LAYOUTS, parse_flag, parse_real
from ._defined import operation


@operation
def batch_norm(
    x: Any,
    gamma: Any,
    beta: Any,
    bias: Any = None,
    *,
    running: tuple[np.ndarray, np.ndarray] | None = None,
    training: bool = True,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    axis: int = -1,
    relu: bool = False,
    pool: dict[str, Any] | None = None,
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta per channel along `axis`; with `relu`, of relu(x).

    In training, mean and (biased) variance are the batch's, and `running`, if given, moves towards them in place:
    running = momentum*running + (1 - momentum)*batch. Otherwise they are `running`.

    `bias` is a number per channel that x holds already: nothing is added, but its gradient, the sums of x's, comes out
    of the same pass.

    With `pool`, the window of a max pool over all axes but the first and the channels', the result goes through that
    pool, on the CPU. It is pooled first: normalising, for gamma above 0, leaves the largest the largest.
    """
    training, relu = parse_flag(training, "training"), parse_flag(relu, "relu")
    momentum, epsilon = parse_real(momentum, "momentum", "a number"), parse_real(epsilon, "epsilon", "a number")
    maxima = None if pool is None else _pooled(x, gamma, axis, pool)
    given = x if maxima is None else maxima[0]
    if training or running is None:
        numbers = running, momentum, epsilon, axis, relu
        pooled = None if maxima is None else given
        y, mean, var = normalization.batch_norm_training(x, gamma, beta, *numbers, pooled)
    else:
        mean, var = (kept.copy() for kept in running)
        y = normalization.batch_norm(given, mean, var, gamma, beta, epsilon, axis, relu)
    return y, (x, mean, var, gamma, maxima, epsilon, axis, relu, training or running is None)


def _pooled(x: Any, gamma: Any, axis: int, pool: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The maxima of x, and their places."""
    rank = x.ndim - 2
    if rank not in LAYOUTS or not (np.asarray(gamma) > 0).all():
        raise InvalidArgument(f"batch_norm pools images, for gamma above 0; x has shape {x.shape} and gamma is {gamma}")
    layout = LAYOUTS[rank][axis % x.ndim == rank + 1]
    return getattr(ops, f"max_pool{rank}d")(x, layout=layout, return_indices=True, **pool)


@batch_norm.vjp
def _(dy: Any, needs: Any, x: Any, mean: Any, var: Any, gamma: Any, maxima: Any, *options: Any) -> tuple[Any, ...]:
    epsilon, axis, relu, training = options
    wanted = needs[0], len(needs) > 3 and needs[3]
    found = normalization.batch_norm_grad(dy, x, mean, var, gamma, epsilon, axis, relu, training, *wanted, maxima)
    return (*found, None)[: len(needs)]
