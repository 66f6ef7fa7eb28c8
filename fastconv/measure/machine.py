"""What the machine is and how fast it can be: the environment of a report, and the measured peaks."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ..config import cache_dir, data_dir
from ..errors import DeviceMissing
from ..simd import peak
from ..simd.host import host
from ..simd.kernel_cache import kernel_cache_dir, problem
from ..simd.parallel import threads_in_use
from ..spec import CONVOLVED, parse_dtype
from ..threads import MEMBERS, get_num_threads
from .timing import Disturbance, parse_seconds

LIBRARIES = (
    "fastconv", "numba", "llvmlite", "numpy", "scipy", "torch", "opencv-python-headless", "opencv-python",
    "scikit-image", "onnxruntime", "openvino", "jax", "keras",
)  # fmt: skip
VARIABLES = ("FASTCONV_", "NUMBA_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")


@dataclass(frozen=True)
class Peaks:
    """The most this machine does with the threads in use."""

    dtype: str
    threads: int
    gflops: float
    copy_gbytes: float
    disturbance: float | None = None  # fraction of the machine that other processes used meanwhile

    def or_better(self, other: Peaks) -> Peaks:
        """The faster figures of two measurements: what disturbs can only slow down."""
        disturbances = [p.disturbance for p in (self, other) if p.disturbance is not None]
        return Peaks(
            self.dtype,
            self.threads,
            max(self.gflops, other.gflops),
            max(self.copy_gbytes, other.copy_gbytes),
            min(disturbances, default=None),
        )


def measure_peaks(dtype: str = "float32", seconds: float = 0.3) -> Peaks:
    """Measure multiply-adds held in registers (GFLOP/s) and a copy beyond the caches (GB/s, read plus written).

    Each is tried for `seconds` in short pieces, of which the fastest counts.
    """
    dtype, seconds = parse_dtype(dtype, CONVOLVED), parse_seconds(seconds, least=0)
    members = min(get_num_threads(), MEMBERS)
    rounds = 100_000
    values, stride, work = peak.operands(dtype, members)  # every task's numbers lie in cache lines of their own
    size = (96 << 20) // 4 // members
    source, target = np.ones(size * members, np.float32), np.zeros(size * members, np.float32)
    with Disturbance() as disturbance:
        adding = _fastest(lambda: peak.multiply_adds(members, members, rounds, values, stride), seconds)
        copying = _fastest(lambda: peak.copies(members, members, source, target, size), seconds)
    gflops = work * rounds * members / adding / 1e9
    return Peaks(dtype, members, gflops, 2 * source.nbytes / copying / 1e9, disturbance.fraction)


def _fastest(call: Callable[[], Any], seconds: float) -> float:
    call()
    times: list[float] = []
    while not times or sum(times) < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return min(times)


def environment() -> dict[str, Any]:
    """What a reader needs to judge a figure: machine, threads, versions, settings, date."""
    unit = host()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": processor_name(),
            "architecture": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "logical_processors": os.cpu_count(),
            "instruction_set": unit.isa,
            "compiled_for": unit.cpu,
            "float32_lanes": unit.lanes(4),
            "float64_lanes": unit.lanes(8),
            "vector_registers": unit.registers,
            "bfloat16": "pairs" if unit.pairs else "float32",
        },
        "threads": get_num_threads(),
        "threading_layer": threads_in_use(),
        "versions": {"python": platform.python_version(), **versions()},
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
    }


def info() -> dict[str, Any]:
    """What fastconv found here: host, vector lanes, threads, versions, settings, cache, data folders, CUDA.

    Returns
    -------
    dict
        Plain values that can be written as JSON; ``fastconv info`` prints them.

    Examples
    --------
    >>> import fastconv as fc
    >>> sorted(fc.info())
    ['cache', 'cuda', 'date', 'machine', 'threading_layer', 'threads', 'variables', 'versions']
    """
    return {**environment(), "cache": _cache(), "cuda": _cuda()}


def _cache() -> dict[str, Any]:
    folder, files = kernel_cache_dir(), 0
    size = 0
    for place, _, names in os.walk(folder):  # says nothing of what it may not read
        for name in names:
            with suppress(OSError):  # another process deletes what is old
                size += os.stat(os.path.join(place, name)).st_size
                files += 1
    return {
        "kernels": str(folder),
        "files": files,
        "bytes": size,
        "problem": problem(),
        "downloads": str(cache_dir() / "datasets"),
        "data": str(data_dir()) if data_dir() else None,
    }


def _cuda() -> dict[str, Any]:
    from ..cuda import backend

    try:
        return {"device": backend.require(), "reason": None, "target": backend.target_name()}
    except DeviceMissing as error:
        return {"device": None, "reason": str(error), "target": backend.target_name()}


def versions() -> dict[str, str]:
    """Installed versions of fastconv, what it is built on, and its rivals."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@lru_cache(maxsize=1)
def processor_name() -> str:
    """The processor's marketing name, or what the system offers in its place."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
