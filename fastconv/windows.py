"""The windows of a pool along one axis, as a rule: tables of them are made for a part of a long axis at a time.

A table is int64 (windows, 3): a window's first real element, its number of real elements, its divisor. Both rules can
tell the table of some windows, with what they read as the axis, and that of all windows that hold some elements.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .kept import kept


class Sliding(NamedTuple):
    """Windows a stride apart; those of equal parts are equal, wherever the part lies."""

    out: int  # windows
    start: int  # of the first window, counted from element 0
    stride: int
    kernel: int  # taps of a window
    dilation: int
    size: int  # elements of the axis; a tap elsewhere is not real
    low: int  # taps from `low` on, and before `high`, count in the divisor
    high: int

    def table(self) -> np.ndarray:
        """The windows."""
        k, d = self.kernel, self.dilation
        start = self.start + np.arange(self.out, dtype=np.int64) * self.stride
        skipped = np.maximum(0, -(start // d))  # taps before the first real element
        count = np.maximum(0, np.clip(-((start - self.size) // d), 0, k) - skipped)
        divisor = np.clip(-((start - self.high) // d), 0, k) - np.clip(-((start - self.low) // d), 0, k)
        return np.stack([start + skipped * d, count, np.maximum(0, divisor)], axis=1)

    def outputs(self, first: int, last: int) -> tuple[Sliding, int, int]:
        """Windows first..last-1, and the elements low..high-1 that they read, which are their axis."""
        start, end = self.start + first * self.stride, self._end(last)
        low = min(max(0, start), self.size - 1)
        high = max(low + 1, min(end, self.size))
        return self._part(first, last, low, high), low, high

    def elements(self, low: int, high: int) -> tuple[Sliding, int, int]:
        """The windows first..last-1 that reach elements low..high-1, cut to these."""
        span = (self.kernel - 1) * self.dilation + 1
        first = max(0, (low - span - self.start) // self.stride + 1)
        last = max(first, min(self.out, -((self.start - high) // self.stride)))
        return self._part(first, last, low, high), first, last

    def _part(self, first: int, last: int, low: int, high: int) -> Sliding:
        start = self.start + first * self.stride
        return self._replace(
            out=last - first,
            start=start - low,
            size=high - low,
            low=max(self.low, start) - low,  # bounds that no window meets are those of its own: equal parts are equal
            high=min(self.high, self._end(last)) - low,
        )

    def _end(self, last: int) -> int:
        """The element behind the last tap of window last - 1."""
        return self.start + (last - 1) * self.stride + (self.kernel - 1) * self.dilation + 1


class Adaptive(NamedTuple):
    """Windows that share an axis evenly: window i reaches from floor(i*whole/parts) to ceil((i+1)*whole/parts)."""

    out: int  # windows
    first: int  # number of the first window
    whole: int
    parts: int
    size: int  # elements of this part of the axis, the first of which is number `shift`
    shift: int
    dilation: int = 1

    @property
    def kernel(self) -> int:
        """Elements of the largest window."""
        return -(-self.whole // self.parts)

    @property
    def stride(self) -> int:
        """The least distance of windows."""
        return max(1, self.whole // self.parts)

    def table(self) -> np.ndarray:
        """The windows."""
        i = self.first + np.arange(self.out, dtype=np.int64)
        first, end = i * self.whole // self.parts, -(-(i + 1) * self.whole // self.parts)
        begin, stop = (np.clip(a - self.shift, 0, self.size) for a in (first, end))
        return np.stack([begin, stop - begin, end - first], axis=1)

    def outputs(self, first: int, last: int) -> tuple[Adaptive, int, int]:
        """Windows first..last-1, and the elements low..high-1 that they read, which are their axis."""
        begin, end = self.first + first, self.first + last
        low, high = begin * self.whole // self.parts - self.shift, -(-end * self.whole // self.parts) - self.shift
        return self._part(begin, end, low, high), low, high

    def elements(self, low: int, high: int) -> tuple[Adaptive, int, int]:
        """The windows first..last-1 that reach elements low..high-1, cut to these."""
        begin = max(self.first, (low + self.shift) * self.parts // self.whole)
        end = min(self.first + self.out, -(-(high + self.shift) * self.parts // self.whole))
        return self._part(begin, end, low, high), begin - self.first, end - self.first

    def _part(self, begin: int, end: int, low: int, high: int) -> Adaptive:
        return self._replace(out=end - begin, first=begin, size=high - low, shift=self.shift + low)


Windows = tuple[Sliding | Adaptive, Sliding | Adaptive, Sliding | Adaptive]
Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


@kept
def tables(windows: Windows) -> Tables:
    """The tables of the windows along the three axes."""
    first, second, third = (rule.table() for rule in windows)
    return first, second, third
