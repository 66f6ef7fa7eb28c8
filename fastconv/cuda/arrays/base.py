"""What a device array is, without what can be done with it: `array.Array` adds that, on top of the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np


class Wrapper:
    """An executor's array; what makes a new one from it makes one of the same class."""

    __slots__ = ("handle",)

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        return tuple(self.handle.shape)

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the elements."""
        return np.dtype(self.handle.dtype)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self.handle.size)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.handle.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    @property
    def gpu_data(self) -> Any:
        """The memory, which remembers its device and stream."""
        return getattr(self.handle, "gpu_data", None)
