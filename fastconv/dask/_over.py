"""A function of fastconv as one of Dask arrays."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ._graph import blockwise


def over(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function over the chunks of its first argument, with the same name and arguments."""

    @functools.wraps(function)
    def call(x: Any, *args: Any, **keywords: Any) -> Any:
        return blockwise(function, x, *args, **keywords)

    package = ".".join(["fastconv", *function.__module__.split(".")[1:2]]).removesuffix(".ops")
    first = (inspect.getdoc(function) or "").partition("\n")[0]
    call.__module__ = __package__ or __name__
    call.__doc__ = (
        f"`{package}.{function.__name__}` over the chunks of a Dask array x, lazily; other arguments as there.\n\n"
        f"{first}\n\nSee `fastconv.dask.blockwise` for chunks, threads and errors."
    )
    del call.__wrapped__
    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return call
