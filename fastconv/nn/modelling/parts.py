"""The part of a batch that this process has, where the ranks of a `DataParallel` training share every batch.

What a step computes of its part becomes what one process would compute of the whole batch: gradients and losses are
means over the ranks, weighted by their samples; metrics see everybody's outputs; layers ask for `current()`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...within import Block, Within
from ..fitting.ranks import Ranks


class Part:
    """This rank's samples among those of one batch.

    Parameters
    ----------
    ranks : Ranks
    size : int
        Samples of the whole batch.

    Attributes
    ----------
    first : int
        Samples of the batch before this rank's.
    rows : slice
        Its samples. There is one in any case: a rank that has none of its own (a batch smaller than the number of
        ranks) takes the first, which then counts nothing.
    weights : ndarray
        Each rank's share of the samples.
    """

    def __init__(self, ranks: Ranks, size: int) -> None:
        self._ranks, self.size = ranks, size
        bounds = [size * r // ranks.size for r in range(ranks.size + 1)]
        self._counts = np.diff(bounds)
        self.weights = self._counts / size
        own = self._counts[ranks.rank]
        self.first = bounds[ranks.rank] if own else 0
        self.rows = slice(self.first, self.first + max(1, own))

    def gathered(self, array: np.ndarray) -> np.ndarray:
        """Rows for this rank's samples as rows for all samples of the batch."""
        padded = np.zeros((self._counts.max(), *array.shape[1:]), array.dtype)
        padded[: len(array)] = array
        parts = zip(self._ranks.rows(padded), self._counts, strict=True)
        return np.concatenate([rows[:count] for rows, count in parts])

    def moments(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and (biased) variance over the batch from those over its parts (Chan, Golub & LeVeque 1983)."""
        means, variances = np.swapaxes(self._ranks.rows(np.stack([mean, var])), 0, 1)
        counted = self.weights > 0
        shares = self.weights[counted]
        whole = shares @ means[counted]
        return whole, shares @ (variances[counted] + (means[counted] - whole) ** 2)

    def mean(self, own: Any) -> np.ndarray:
        """What the ranks give, numbers or arrays of them, weighted by their shares."""
        own = np.asarray(own, np.float64)
        return self._ranks.total(own.reshape(-1), self.weights).reshape(own.shape)

    def sum_gradients(self, weights: Sequence[Tensor]) -> None:
        """Give every weight the gradient of the mean loss over the batch."""
        by_dtype: dict[np.dtype, list[Tensor]] = {}
        for w in weights:
            if w.grad is not None:
                by_dtype.setdefault(w.grad.dtype, []).append(w)
        for changed in by_dtype.values():
            total = self._ranks.total(np.concatenate([w.grad.reshape(-1) for w in changed]), self.weights)
            start = 0
            for w in changed:
                stop = start + math.prod(w.grad.shape)
                w.grad = total[start:stop].reshape(w.grad.shape)
                start = stop


class _Working(Within):
    part: Part | None = None


_working = _Working()


def current() -> Part | None:
    """The part of a batch that a step of training or validation is working on; None where it has the batch itself."""
    return _working.part


def working_on(part: Part | None) -> Block:
    """Let the step in this block, in this thread, work on a part of a batch."""
    return _working.set(part=part)
