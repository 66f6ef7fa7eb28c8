"""What compiled code asks for, as words: a code for all that is known when it is compiled, then sizes and options.

A user's compiled function keeps the code for as long as it stays in his cache: see `VERSION` before the order of what
is listed here changes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

VERSION = 1  # of the words, and of what `_door` offers; a function compiled for another one says so

OPERATORS = (
    "conv",
    "conv_input_grad",
    "conv_weight_grad",
    "max_pool",
    "avg_pool",
    "global_avg_pool",
    "max_pool_grad",
    "avg_pool_grad",
)
DTYPES = ("float32", "float64")
MODES = ("zeros", "edge", "reflect", "symmetric", "wrap")
PADDINGS = ("numbers", "valid", "same")


class Request(NamedTuple):
    """What is known when a call is compiled."""

    operator: str
    rank: int
    dtype: str
    channels_last: bool = False
    padding_mode: str = "zeros"
    padding: str = "numbers"  # or the word that stands for them
    relu: bool = False

    @property
    def code(self) -> int:
        """All of it in one number."""
        code = 0
        for value, known in zip(self, KNOWN, strict=True):
            code = code * len(known) + known.index(value)
        return code


KNOWN: tuple[tuple[Any, ...], ...] = (OPERATORS, (1, 2, 3), DTYPES, (False, True), MODES, PADDINGS, (False, True))


def request_of(code: int) -> Request:
    """The request that a code stands for.

    Examples
    --------
    >>> request_of(Request("avg_pool", 2, "float64", padding="same").code)
    Request(operator='avg_pool', rank=2, dtype='float64', channels_last=False, padding_mode='zeros', padding='same', \
relu=False)
    """
    values = []
    for known in reversed(KNOWN):
        code, place = divmod(code, len(known))
        values.append(known[place])
    return Request(*reversed(values))
