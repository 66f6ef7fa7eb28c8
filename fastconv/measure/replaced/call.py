"""A call that users of SciPy write: its function, the sizes of its arrays, its other arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Call:
    """``function`` is "signal.convolve2d" and the like; ``shapes`` are those of its arrays, standard normal numbers.

    Examples
    --------
    >>> call = Call("signal.convolve2d", ((512, 512), (9, 9)), {"boundary": "symm"})
    >>> str(call), [a.shape for a in call.arrays(np.dtype("f4"))]
    ('signal.convolve2d 512×512 * 9×9 boundary=symm', [(512, 512), (9, 9)])
    """

    function: str
    shapes: tuple[tuple[int, ...], ...]
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def sizes(self) -> str:
        """Sizes and options as text."""
        sizes = " * ".join("×".join(map(str, shape)) for shape in self.shapes)
        return " ".join([sizes, *(f"{key}={value}" for key, value in self.options.items())])

    def __str__(self) -> str:
        return f"{self.function} {self.sizes}"

    def arrays(self, dtype: Any) -> tuple[np.ndarray, ...]:
        """The same numbers in each dtype: those that float32 holds."""
        rng = np.random.default_rng(0)
        return tuple(rng.standard_normal(shape, np.float32).astype(dtype) for shape in self.shapes)
