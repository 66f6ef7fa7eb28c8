"""Normalisation by the statistics of a batch, and of each image by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...errors import InvalidArgument
from ...ops import group_normalization, normalization
from ...spec import LAYOUTS, parse_count, parse_flag, parse_real
from ..axes import axes_of
from ..operation import Saved
from ._defined import operation
from ._tiles import tiles_of


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
    part: normalization.Part | None = None,
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta per channel along `axis`; with `relu`, of relu(x).

    In training, mean and (biased) variance are the batch's, and `running`, if given, moves towards them in place:
    running = momentum*running + (1 - momentum)*batch. Otherwise they are `running`.

    `bias` is a number per channel that x holds already: nothing is added, but its gradient, the sums of x's, comes out
    of the same pass.

    With `pool`, the window of a max pool over all axes but the first and the channels', the result goes through that
    pool, on the CPU. It is pooled first: normalising, for gamma above 0, leaves the largest the largest.

    Of a `part` of a batch mean and variance are those of the whole batch, and dy must be the gradient of the part's own
    mean loss.
    """
    training, relu = parse_flag(training, "training"), parse_flag(relu, "relu")
    momentum, epsilon = parse_real(momentum, "momentum", "a number"), parse_real(epsilon, "epsilon", "a number")
    numbers = running, momentum, epsilon
    window = None
    if pool is not None and part is None and training and axis % x.ndim == 3:
        window = tiles_of(x, pool)
    if window is not None:
        _check_pooled(x, gamma)
        y, mean, var, best = normalization.batch_norm_pooled(x, gamma, beta, *numbers, relu, window)
        return y, (x, mean, var, gamma, (best, window), epsilon, axis, relu, True, None)
    maxima = None if pool is None else _pooled(x, gamma, axis, pool)
    given = x if maxima is None else maxima[0]
    if training or running is None:
        pooled = None if maxima is None else given
        y, mean, var = normalization.batch_norm_training(x, gamma, beta, *numbers, axis, relu, pooled, part)
    else:
        mean, var = (kept.copy() for kept in running)
        y = normalization.batch_norm(given, mean, var, gamma, beta, epsilon, axis, relu)
    return y, (x, mean, var, gamma, maxima, epsilon, axis, relu, training or running is None, part)


def _check_pooled(x: Any, gamma: Any) -> None:
    if x.ndim - 2 not in LAYOUTS or not np.asarray(gamma).min(initial=np.inf) > 0:
        raise InvalidArgument(f"batch_norm pools images, for gamma above 0; x has shape {x.shape} and gamma is {gamma}")


def _pooled(x: Any, gamma: Any, axis: int, pool: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The maxima of x, and their places."""
    _check_pooled(x, gamma)
    rank = x.ndim - 2
    layout = LAYOUTS[rank][axis % x.ndim == rank + 1]
    return getattr(ops, f"max_pool{rank}d")(x, layout=layout, return_indices=True, **pool)


@batch_norm.vjp
def _(dy: Any, needs: Any, x: Any, mean: Any, var: Any, gamma: Any, maxima: Any, *options: Any) -> tuple[Any, ...]:
    epsilon, axis, relu, training, part = options
    wanted = needs[0], len(needs) > 3 and needs[3]
    found = normalization.batch_norm_grad(dy, x, mean, var, gamma, epsilon, axis, relu, training, *wanted, maxima, part)
    return (*found, None)[: len(needs)]


@operation
def layer_norm(x: Any, gamma: Any, beta: Any, *, axis: Any = -1, epsilon: float = 1e-3, centred: bool = True) -> Saved:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta, by mean and (biased) variance over one axis or several.

    gamma and beta have the sizes of these axes, in order. If not `centred` the mean is taken for 0: x over its root
    mean square. (Ba, Kiros & Hinton 2016, arXiv:1607.06450; Zhang & Sennrich 2019, arXiv:1910.07467)
    """
    centred, epsilon = parse_flag(centred, "centred"), parse_real(epsilon, "epsilon", "a number")
    axes = tuple(sorted(axes_of(axis, x.ndim)))
    _same_sizes(x, axes, gamma=gamma, beta=beta)
    y, statistics = group_normalization.layer_norm(x, gamma, beta, epsilon, axes, centred)
    return y, (x, statistics, gamma, axes, centred)


@layer_norm.vjp
def _(dy: Any, needs: Any, x: Any, statistics: Any, gamma: Any, axes: Any, centred: bool) -> tuple[Any, ...]:
    return group_normalization.layer_norm_grad(dy, x, statistics, gamma, axes, centred)


@operation
def group_norm(x: Any, gamma: Any, beta: Any, *, groups: int, axis: int = -1, epsilon: float = 1e-3) -> Saved:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta, by the statistics of each image's groups of channels along `axis`.

    `groups` groups of neighbouring channels; gamma and beta have a number per channel (Wu & He 2018, arXiv:1803.08494).
    """
    epsilon, groups = parse_real(epsilon, "epsilon", "a number"), parse_count(groups, "groups")
    (place,) = axes_of(axis, x.ndim)
    if place == 0:
        raise InvalidArgument(
            f"axis is {axis}, which is that of the images; expected that of the channels of {x.shape}"
        )
    _same_sizes(x, (place,), gamma=gamma, beta=beta)
    group_normalization.check_groups(x.shape[place], groups)
    y, statistics = group_normalization.group_norm(x, gamma, beta, epsilon, groups, place)
    return y, (x, statistics, gamma, place)


@group_norm.vjp
def _(dy: Any, needs: Any, x: Any, statistics: Any, gamma: Any, axis: int) -> tuple[Any, ...]:
    return group_normalization.group_norm_grad(dy, x, statistics, gamma, axis)


def _same_sizes(x: Any, axes: tuple[int, ...], **weights: Any) -> None:
    """Weights must have the sizes of these axes."""
    sizes = tuple(x.shape[a] for a in axes)
    for name, w in weights.items():
        if tuple(np.shape(w)) != sizes:
            raise InvalidArgument(f"{name} has shape {tuple(np.shape(w))}; expected {sizes} (x: {tuple(x.shape)})")
