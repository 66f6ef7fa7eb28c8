"""The windows of a pool along one axis, as a rule: tables of them are made for a part of a long axis at a time.

A table is int64 (windows, 3): a window's first real element, its number of real elements, its divisor. Both rules can
tell the table of some windows, with what they read as the axis, and that of all windows that hold some elements; and
they know how their windows lie, so that nobody has to find it out from a table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .kept import kept


class Spacing(NamedTuple):
    """Windows that are alike: window i holds elements i*stride - before + t*dilation, t < kernel, if they are real."""

    stride: int
    before: int
    kernel: int


class Run(NamedTuple):
    """Windows first..last-1, which are alike and a stride apart."""

    first: int
    last: int
    stride: int


ALONE = Run(0, 1, 0)


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

    @property
    def extent(self) -> int:
        """Elements that a window spans."""
        return self.dilation * (self.kernel - 1) + 1

    def spacing(self) -> Spacing | None:
        """How the windows lie; None where they begin behind the first element, or each is cut: longer than the axis."""
        if self.out == 1:
            return _alone(self)
        if self.start > 0 or self.extent > self.size:
            return None
        return Spacing(self.stride, -self.start, self.kernel)

    def inner(self) -> Run:
        """The windows that no border cuts; any one if it cuts them all."""
        low, high = max(0, self.low), min(self.size, self.high)
        first = max(0, -((self.start - low) // self.stride))
        last = min(self.out, (high - self.extent - self.start) // self.stride + 1)
        return Run(first, last, self.stride) if first < last else ALONE

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
        first = max(0, (low - self.extent - self.start) // self.stride + 1)
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
        return self.start + (last - 1) * self.stride + self.extent


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
        least, rest = divmod(self.whole, self.parts)
        return least + (0 if rest == 0 else 1 if self.parts % rest == 0 else 2)

    @property
    def stride(self) -> int:
        """The least distance of windows."""
        return max(1, self.whole // self.parts)

    def spacing(self) -> Spacing | None:
        """How the windows lie where they are alike but for what the border cuts: three remainders of whole/parts."""
        if self.out == 1:
            return _alone(self)
        least, rest = divmod(self.whole, self.parts)
        if rest in (0, 1):
            stride, before, kernel = least, 0, least + rest
        elif rest == self.parts - 1:
            stride, before, kernel = least + 1, 1, least + 2
        else:
            return None
        before += self.shift - self.first * stride
        return Spacing(stride, before, kernel) if stride > 0 and before >= 0 and kernel <= self.size else None

    def inner(self) -> Run:
        """The windows that no border cuts, if they are alike; else any one."""
        lie = self.spacing()
        if lie is None:
            return ALONE
        return Sliding(self.out, -lie.before, lie.stride, lie.kernel, self.dilation, self.size, 0, self.size).inner()

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


Rule = Sliding | Adaptive
Windows = tuple[Rule, Rule, Rule]


def _alone(rule: Rule) -> Spacing | None:
    """One window has no distance to others, and takes part as far as it is real."""
    first, count, _ = rule.table()[0].tolist()
    return Spacing(1, 0, count) if first == 0 and count else None


@kept
def table_of(rule: Rule) -> np.ndarray:
    """The table of an axis's windows."""
    return rule.table()


@kept
def cover_of(rule: Rule) -> np.ndarray:
    """Which windows hold an element h of an axis: c[c[h] : c[h + 1]], rising."""
    first, count, _ = table_of(rule).T
    window = np.repeat(np.arange(len(first)), count)
    tap = np.arange(len(window)) - np.repeat(np.cumsum(count) - count, count)
    element = first[window] + tap * rule.dilation
    bounds = rule.size + 1 + np.concatenate([[0], np.cumsum(np.bincount(element, minlength=rule.size))])
    narrow = element.astype(np.min_scalar_type(rule.size))  # NumPy sorts numbers of 16 bits much faster
    return np.concatenate([bounds, window[np.argsort(narrow, kind="stable")]])
