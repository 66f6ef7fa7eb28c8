"""Gradients to an input whose border is made of copies of its elements: each gathers from all its copies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..borders import fold_border
from ..problem import ConvProblem


def folding(input_grad: Callable[..., None]) -> Callable[..., None]:
    """Let an operator that knows borders of zeros serve all: it writes the gradient with its border, to be folded."""

    @functools.wraps(input_grad)
    def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray, **options: Any) -> None:
        if not problem.bordered:
            input_grad(problem, dy, w, dx, **options)
            return
        inside = problem.inside()
        whole = np.empty(inside.x_shape3, dx.dtype)
        input_grad(inside, dy, w, whole, **options)
        fold_border(whole, dx, problem.padding, problem.padding_mode, 1 if problem.channels_last else 2)

    return conv_input_grad
