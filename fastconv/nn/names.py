"""How names given as text are looked up: one message for every kind of thing that can be named."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidArgument, shown

LONGEST = 60  # characters of a name that is compared with those that are known


def find(kind: str, name: Any, known: Mapping[str, Any]) -> Any:
    """``known[name]``, or an `InvalidArgument` that lists what is known.

    Examples
    --------
    >>> find("optimizer", "sdg", {"sgd": 1, "adam": 2})
    Traceback (most recent call last):
        ...
    fastconv.errors.InvalidArgument: unknown optimizer 'sdg'; did you mean 'sgd'? Known: adam, sgd
    """
    if isinstance(name, str) and name in known:
        return known[name]
    raise InvalidArgument(f"unknown {kind} {shown(name)}{suggestion(name, known)} Known: {', '.join(sorted(known))}")


def suggestion(name: Any, known: Mapping[str, Any]) -> str:
    """``; did you mean ...?`` for the nearest known name, else a full stop."""
    if not isinstance(name, str) or len(name) > LONGEST:
        return "."
    near = difflib.get_close_matches(name.lower(), {key.lower(): key for key in known}, 1)
    return f"; did you mean {next(key for key in known if key.lower() == near[0])!r}?" if near else "."
