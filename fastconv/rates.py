"""How long a unit of work takes on this machine: the constants of the cost model that "auto" chooses methods by.

A method counts what a problem costs it (`fastconv.cpu.work.Work`); the predicted time is the sum of the counts, each
times a rate. Rates belong to a method's engine and to a kind of operation, since no two keep the micro-kernel or the
memory equally busy. ``fastconv warmup --tune`` measures them and keeps them in the cache folder; until then those
below serve, measured on one machine: auto only compares times, so their ratios matter and not their size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from .config import cache_dir
from .files import json_text, write_text, writing

KINDS = {"conv": "conv", "conv_input_grad": "conv", "conv_weight_grad": "weight_grad"}
ENGINES = {"direct": "sweep", "im2col": "sweep", "winograd": "winograd", "fft": "fft"}


class Rate(NamedTuple):
    """Nanoseconds for one unit of each count: float32 operations, bytes, parallel regions; and for a call."""

    tile: float
    vector: float
    cached: float
    memory: float
    region: float
    call: float

    def seconds(self, work: Sequence[float], itemsize: int) -> float:
        """Predicted time of a call; an operation of float64 takes two of float32."""
        tile, vector, cached, memory, regions, _ = work
        operations = (tile * self.tile + vector * self.vector) * itemsize / 4
        return 1e-9 * (operations + cached * self.cached + memory * self.memory + regions * self.region + self.call)


Rates = Mapping[tuple[str, str], Rate]  # (kind of operation, engine)

# Two threads of an AMD EPYC (Zen 4), November 2026.
DEFAULT: dict[tuple[str, str], Rate] = {
    ("conv", "fft"): Rate(0.0047, 0.0097, 8e-05, 0.008, 1200, 39000),
    ("conv", "sweep"): Rate(0.0045, 0.0095, 0.026, 0, 5100, 5600),
    ("conv", "winograd"): Rate(0.00094, 0.019, 0.0079, 0.011, 1900, 18000),
    ("weight_grad", "fft"): Rate(0.0057, 0.00039, 0, 0.016, 25000, 6200),
    ("weight_grad", "sweep"): Rate(0.0045, 0.0099, 0.016, 0.017, 3300, 25000),
    ("weight_grad", "winograd"): Rate(0.0034, 0.0042, 0.01, 0.017, 1800, 12000),
}


def rate(op: str, method: str) -> Rate:
    """The rate of a method for an operation of the dispatch table; direct and im2col are one engine."""
    return current()[KINDS[op], ENGINES[method]]


@lru_cache(maxsize=1)
def current() -> Rates:
    """The rates measured on this machine, else the default ones."""
    return {**DEFAULT, **load(tuned_file())}


def tuned_file() -> Path:
    """Where measured rates are kept: one file for each kind of vector unit, since a cache folder may be shared."""
    from .simd.host import host

    unit = host()
    return cache_dir() / f"rates-{unit.cpu}-{unit.isa}.json"


def load(path: Path) -> dict[tuple[str, str], Rate]:
    """The rates of a file; none where it is absent or is not what `save` writes."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["rates"]
        rates = {(kind, engine): Rate(*map(float, numbers)) for kind, engine, numbers in stored}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {}
    sound = all(number >= 0 and math.isfinite(number) for rate in rates.values() for number in rate)
    return rates if sound else {}


def save(rates: Rates, path: Path, facts: Mapping[str, Any]) -> None:
    """Keep rates in a file, with `facts` about how they were measured; the choice of methods follows at once.

    Raises
    ------
    DataUnavailable
        The file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    stored = [[kind, engine, list(numbers)] for (kind, engine), numbers in sorted(rates.items())]
    write_text(path, json_text({**facts, "rates": stored}))
    current.cache_clear()
