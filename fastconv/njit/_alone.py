"""What the functions of this package do where Python calls them: the same, on one thread."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..threads import Alone


def alone(name: str, *args: Any, **options: Any) -> Any:
    """Call one of `fastconv.ops` on the calling thread."""
    with Alone():
        return getattr(ops, name)(*args, **options)
