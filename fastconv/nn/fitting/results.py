"""What `predict` gathers batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ..basics.structures import filled, leaves, mapped
from .bundles import holds_arrays


class Results:
    """The results of batches as one array, of the dtype and shape that the first has.

    Parameters
    ----------
    count : int, optional
        Results of all batches, where that is known.
    """

    def __init__(self, count: int | None) -> None:
        self._count, self._done = count, 0
        self._parts: list[np.ndarray] = []
        self._inside: Any = None  # of each of several outputs

    def add(self, result: Any, samples: int) -> Any:
        """Take in the result of so many samples, a tensor or an array on any device, or a structure of them."""
        if holds_arrays(result):
            if self._inside is None:
                self._inside = mapped(lambda _: Results(self._count), result)
            pairs = zip(leaves(self._inside), leaves(result), strict=True)
            return filled(result, iter([rows.add(one, samples) for rows, one in pairs]))
        part = result.numpy() if hasattr(result, "numpy") else np.asarray(result)
        if part.shape[:1] != (samples,):
            raise InvalidArgument(f"predict_step made shape {part.shape} of {samples} samples; expected a row for each")
        if self._count is None:
            self._parts.append(part.copy())
            return part
        if not self._parts:
            self._parts = [np.empty((self._count, *part.shape[1:]), part.dtype)]
        self._parts[0][self._done : self._done + samples] = part
        self._done += samples
        return part

    def whole(self) -> Any:
        """All that was taken in."""
        if self._inside is not None:
            return mapped(Results.whole, self._inside)
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
