"""Operators that take a problem apart again: to be replaced by ones that take it whole."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..problem import ConvProblem


def by_keywords(function: Callable[..., None]) -> Callable[..., None]:
    """An operator of the dispatch table from a function of arrays and plain keyword arguments."""

    @functools.wraps(function)
    def operator(problem: ConvProblem, *arrays: Any, **options: Any) -> None:
        function(
            *arrays,
            stride=problem.stride,
            dilation=problem.dilation,
            padding=problem.padding,
            padding_mode=problem.padding_mode,
            groups=problem.groups,
            channels_last=problem.channels_last,
            **options,
        )

    return operator
