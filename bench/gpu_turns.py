"""How ``gpu.py`` takes time: contenders in turns, medians, targets.

A turn starts as many calls as fill some milliseconds and waits for the device once, so that what Python does hides
behind the device, as it does in use; the figure is the median of the turns.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gpu_report import Line

ROUNDS = 15
TURN = 0.004  # seconds of a turn at least
Call = Callable[[], Any]


class Target(NamedTuple):
    """What is to be reached: times cuDNN's speed, or that of a copy."""

    share: float
    of: str


def take_turns(contenders: dict[str, Call], synchronize: Call, rounds: int = 0) -> dict[str, float]:
    """Seconds of a call of each: medians of turns that alternate."""
    rounds = rounds or ROUNDS
    counts = {}
    for name, call in contenders.items():
        call()
        synchronize()
        one = timed(call, synchronize, 1)
        counts[name] = max(1, min(200, round(TURN / max(one, 1e-6))))
        timed(call, synchronize, counts[name])
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            seconds[name].append(timed(call, synchronize, counts[name]))
    return {name: statistics.median(values) for name, values in seconds.items()}


def timed(call: Call, synchronize: Call, count: int) -> float:
    """Seconds of one of `count` calls that the device is given at once."""
    synchronize()
    start = time.perf_counter()
    for _ in range(count):
        call()
    synchronize()
    return (time.perf_counter() - start) / count


def optional(name: str) -> Any:
    """A module, or None where it is not installed or broken."""
    try:
        return importlib.import_module(name)
    except Exception:  # a rival that does not start is no fault of ours
        return None


def rival() -> Any:
    """PyTorch on a GPU, or None."""
    torch = optional("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    torch.backends.cudnn.benchmark = True
    return torch


def verdict(what: str, reached: float, target: Target) -> Line:
    """A target, and whether it is reached."""
    state = "right" if reached >= target.share else "missed"
    return Line(f"{what}: {reached:.2f} x {target.of} (target {target.share})", state)


def guarded(lines: Iterator[Line]) -> Iterator[Line]:
    """What fails is a line: the others shall be timed."""
    try:
        yield from lines
    except Exception as error:
        yield Line(f"failed: {type(error).__name__}: {error}", "wrong")
