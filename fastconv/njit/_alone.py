"""What the functions of this package do where Python calls them: the same, on one thread."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..threads import threads


def alone(name: str, *args: Any, **options: Any) -> Any:
    """Call one of `fastconv.ops` on the calling thread."""
    with threads(1):
        return getattr(ops, name)(*args, **options)
