"""How long a unit of work takes on this machine: the constants of the cost model that "auto" chooses methods by.

A method counts what a problem costs it (`fastconv.cpu.work.Work`); the predicted time is the sum of the counts, each
times a rate. Rates belong to a method's engine and to a kind of operation, since no two keep the micro-kernel or the
memory equally busy. ``fastconv warmup --tune`` measures them and keeps them in the cache folder; until then those
below serve, measured on one machine: auto only compares times, so their ratios matter and not their size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .config import cache_dir
from .cpu.work import Rate
from .files import json_text, write_text, writing
from .processors import usable

#: Raised whenever a method counts its work otherwise: rates that were measured before do not fit any more.
COUNTED = 2
Rates = Mapping[tuple[str, str], Rate]  # (kind of operation, engine)


@lru_cache(maxsize=1)
def tuned() -> Rates:
    """The rates measured on this machine; none before it was tuned."""
    return load(tuned_file())


def tuned_file() -> Path:
    """Where measured rates are kept: one file for each processor and number of cores; a cache folder may be shared."""
    from .simd.host import host

    unit = host()
    return cache_dir() / f"rates-{unit.cpu}-{unit.isa}-{usable()}.json"


def load(path: Path) -> dict[tuple[str, str], Rate]:
    """The rates of a file; none where it is absent, of other counts, or not what `save` writes."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["counted"] != COUNTED:
            return {}
        rates = {(kind, engine): Rate(*map(float, numbers)) for kind, engine, numbers in stored["rates"]}
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
    write_text(path, json_text({**facts, "counted": COUNTED, "rates": stored}))
    tuned.cache_clear()
