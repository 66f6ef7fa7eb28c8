"""What the system tells of its processors: how many threads are of use here, and how large the last cache is.

A kernel of multiply-adds fills a core's units from one thread, so two hardware threads of a core count once, and the
affinity mask and what the container grants are the limit. Linux says all of it in files; elsewhere every logical
processor counts, and nothing is known of caches.
"""

from __future__ import annotations

import math
import os
import re
from functools import lru_cache
from pathlib import Path

CPUS = "sys/devices/system/cpu"
GROUPS = "sys/fs/cgroup"
SIZE = re.compile(r"\d+[KMG]")  # of a cache
UNITS = {"K": 10, "M": 20, "G": 30}
V1_FOLDERS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")  # where version 1's processor group is mounted


@lru_cache(maxsize=1)
def usable() -> int:
    """Threads that a parallel kernel uses unless told otherwise; read once."""
    return count(allowed())


def allowed() -> frozenset[int]:
    """Numbers of the logical processors that this process may run on."""
    try:
        return frozenset(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no such mask
        return frozenset(range(os.cpu_count() or 1))


def count(numbers: frozenset[int], root: Path = Path("/")) -> int:
    """Cores among these processors, or fewer where the container's quota is less.

    Parameters
    ----------
    numbers : frozenset of int
        Logical processors.
    root : Path
        Where ``sys`` and ``proc`` are.
    """
    cores = {_text(root / CPUS / f"cpu{n}" / "topology" / "thread_siblings_list") or str(n) for n in numbers}
    granted = quota(root)
    # a fraction of a processor is used too: its thread is put aside for the rest of each period
    return max(1, min(len(cores), len(cores) if granted is None else math.ceil(granted)))


def quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that control groups grant, the least along the way to the root; None if unlimited."""
    limits = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if not controllers:
            limits += [_v2(folder) for folder in _upwards(root / GROUPS, path)]
            limits += [_v2(folder) for folder in _upwards(root / GROUPS / "unified", path)]
        elif "cpu" in controllers.split(","):
            limits += [_v1(folder) for name in V1_FOLDERS for folder in _upwards(root / GROUPS / name, path)]
    return min((limit for limit in limits if limit), default=None)


@lru_cache(maxsize=1)
def last_cache() -> int | None:
    """Bytes of the cache that is nearest to memory; None where the system does not tell. Read once."""
    return largest_cache(min(allowed()))


def largest_cache(number: int, root: Path = Path("/")) -> int | None:
    """Bytes of the largest cache of a logical processor."""
    found = (_text(path) for path in (root / CPUS / f"cpu{number}" / "cache").glob("index*/size"))
    return max((int(text[:-1]) << UNITS[text[-1]] for text in found if SIZE.fullmatch(text)), default=None)


def _upwards(mounted: Path, path: str) -> list[Path]:
    """A group's folder and those above it; a container may see its own group as the root, under a path from outside."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [mounted.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _v2(folder: Path) -> float | None:
    return _ratio((_text(folder / "cpu.max").split() + ["", ""])[:2])


def _v1(folder: Path) -> float | None:
    return _ratio([_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")])


def _ratio(texts: list[str]) -> float | None:
    """Quota over period; None for "max", -1 and what cannot be read."""
    try:
        granted, period = map(float, texts)
    except ValueError:
        return None
    return granted / period if granted > 0 and period > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
