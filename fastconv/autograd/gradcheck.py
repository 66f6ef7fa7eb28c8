"""Check gradients against central differences along random directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from .tensor import Tensor

STEP = 1e-5  # in float64 both errors of a central difference, h**2 and 1e-16/h, are about 1e-10 there


def gradcheck(
    f: Callable[..., Tensor], *inputs: Any, directions: int = 3, tolerance: float = 1e-6, seed: int = 0
) -> bool:
    """Compare the gradients of `f` with central differences, in float64.

    For each input x, random directions u and a random weighting v of the output:
    ``<v, f(x + h*u) - f(x - h*u)> / 2h`` must equal ``<gradient, u>``.

    Parameters
    ----------
    f : callable
        Takes one tensor per input, returns a tensor. Must be smooth near the inputs and give the same result each time.
    *inputs : array_like
        Floating-point values; converted to float64.
    directions : int
        Random directions tried for each input.
    tolerance : float
        Largest difference allowed, relative to the larger of the two values and of the norm product of u and v.
    seed : int
        Seed of the directions.

    Returns
    -------
    bool
        True.

    Raises
    ------
    AssertionError
        A gradient is wrong: the message names the input and shows both values.
    InvalidArgument
        An input is not floating-point, or `f` does not return a tensor.

    Examples
    --------
    >>> from fastconv.autograd import functional as F, gradcheck
    >>> gradcheck(lambda a, b: F.matmul(a, b).sum(), np.ones((2, 3)), np.ones((3, 4)))
    True
    """
    arrays = [_float64(value, i) for i, value in enumerate(inputs)]
    random = np.random.default_rng(seed)
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    y = f(*tensors)
    if not isinstance(y, Tensor):
        raise InvalidArgument(f"f returned {type(y).__name__}; gradcheck needs a Tensor")
    v = random.standard_normal(y.shape)
    y.backward(v)
    for i, (array, tensor) in enumerate(zip(arrays, tensors, strict=True)):
        dx = np.zeros_like(array) if tensor.grad is None else tensor.grad
        if dx.shape != array.shape:
            raise AssertionError(f"the gradient to input {i} has shape {dx.shape}; the input has {array.shape}")
        for _ in range(directions):
            u = random.standard_normal(array.shape)
            ends = [f(*(Tensor(a + s * STEP * u if k == i else a) for k, a in enumerate(arrays))) for s in (1, -1)]
            expected = float((v * (ends[0].data - ends[1].data)).sum()) / (2 * STEP)
            got = float((dx * u).sum())
            scale = max(abs(expected), abs(got), float(np.linalg.norm(u.ravel()) * np.linalg.norm(v.ravel())))
            if not abs(got - expected) <= tolerance * scale:
                raise AssertionError(
                    f"the gradient to input {i} (shape {array.shape}) is wrong: along a random direction it says "
                    f"{got:.9g} but the central difference is {expected:.9g}"
                )
    return True


def _float64(value: Any, i: int) -> np.ndarray:
    array = np.asarray(value.data if isinstance(value, Tensor) else value)
    if array.dtype.kind != "f":
        raise InvalidArgument(
            f"input {i} has dtype {array.dtype}; gradcheck needs floating-point inputs; close over others"
        )
    return np.ascontiguousarray(array, np.float64)
