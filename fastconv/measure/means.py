"""What the rows of a suite come to: the geometric mean and the least of its ratios to the fastest rival of each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .rows import Contest
from .timing import geometric_mean

PEAK = "the measured peak"


@dataclass(frozen=True)
class Mean:
    """Of a suite and one of its ways: over how many rows, the geometric mean and the least ratio, and against whom.

    Of each row the fastest rival counts; of the suite kernel the ratio is speed / peak.
    """

    suite: str
    way: str
    rows: int
    mean: float
    least: float
    against: str


def means(parts: Mapping[str, Sequence[Any]]) -> Iterator[Mean]:
    """What the rows of each suite come to."""
    for suite, rows in parts.items():
        if suite == "kernel":
            for group in dict.fromkeys(row.group for row in rows):
                found = [row.fraction for row in rows if row.group == group and row.timing is not None]
                if found:
                    yield Mean(suite, group, len(found), geometric_mean(found), min(found), PEAK)
            continue
        for way in dict.fromkeys(way for row in rows for way in row.ours):
            ratios = [least for row in rows if (least := _least(row, way)) is not None]
            names = [name for name in rivals_of(rows) if any(row.ratio(way, name) is not None for row in rows)]
            if ratios:
                yield Mean(suite, way, len(ratios), geometric_mean(ratios), min(ratios), ", ".join(names))


def _least(row: Contest, way: str) -> float | None:
    """The ratio to the fastest rival."""
    found = [ratio for name in row.rivals if (ratio := row.ratio(way, name)) is not None]
    return min(found, default=None)


def rivals_of(rows: Iterable[Contest]) -> list[str]:
    """Those that took part or told why they cannot."""
    return list(dict.fromkeys(name for row in rows for name in row.rivals))
