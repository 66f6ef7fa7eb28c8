"""Normalisation of each image by its groups of channels, which are first: rows (twin: cpu/group_normalization.py)."""

from __future__ import annotations

from typing import Any

from .launch import entry
from .row_normalization import add_sums, gradient_of_rows, normalize_rows


@entry
def group_norm(
    x: Any, y: Any, mean: Any, inverse: Any, gamma: Any, beta: Any, *, channels_last: bool, epsilon: float
) -> None:
    """y = (x - mean)*inverse*gamma + beta for each image's groups; x is (N, C, S), the channels are not last."""
    normalize_rows((x, y, mean, inverse, gamma, beta), epsilon, True, *_groups(x, mean))


@entry
def group_norm_grad(
    dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any, dx: Any, dgamma: Any, dbeta: Any, *, channels_last: bool
) -> None:
    """The gradients of `group_norm`."""
    products = gradient_of_rows((dy, x, mean, inverse, gamma, dx), True, *_groups(x, mean))
    add_sums(dy, products, dgamma, dbeta)


def _groups(x: Any, mean: Any) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Rows and their length, and which weights they have."""
    (N, G), (_, C, S) = mean.shape, x.shape
    return (N * G, C // G * S), (G, C // G, S)
