"""A soak: every public operator on random problems in any dtype, layout, method and memory layout, against the oracle.

The quick part solves a few hundred. ``pytest -m slow tests/test_soak.py`` solves 10^5, and calls functions 5*10^4 times
on changing shapes while it watches the memory. ``FASTCONV_SOAK_SEED`` chooses other problems.
"""

import gc
import os
import resource
from collections import Counter

import naive
import naive_pool
import numpy as np
import pytest
import soak

import fastconv as fc

SEED = int(os.environ.get("FASTCONV_SOAK_SEED", "0"))
PIECE = 2500
KEPT = 64 << 20  # bytes that 5*10^4 calls may add


def solve_all(seeds):
    """How often each operator was compared; every problem that is wrong, in one message."""
    done, wrong = Counter(), []
    for seed in seeds:
        try:
            done[soak.solve(seed)] += 1
        except soak.Wrong as error:
            wrong.append(str(error))
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:20])
    return done


def test_a_few_hundred_problems():
    done = solve_all(range(SEED, SEED + 400))
    assert {operator.__name__ for operator in soak.OPERATORS} <= done.keys()


def test_a_wrong_result_is_found(monkeypatch):
    """One element that is off is enough, and the message repeats the problem."""
    right = fc.conv2d

    def wrong(*args, **options):
        y = right(*args, **options)
        if y.size:
            y.flat[-1] += 1
        return y

    monkeypatch.setattr(fc, "conv2d", wrong)
    with pytest.raises(AssertionError, match=r"soak\.solve\(\d+\): conv x="):
        solve_all(range(60))


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(40))
def test_a_hundred_thousand_problems(piece):
    start = SEED + 10**6 + piece * PIECE
    solve_all(range(start, start + PIECE))


def resident():
    """Bytes of memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_memory_is_flat_over_calls_of_changing_shapes(monkeypatch):
    """No oracle here: it is replaced by nothing, so that only fastconv's memory is seen."""
    monkeypatch.setattr(soak, "compare", lambda *_: None)
    for module in (naive, naive_pool):
        for name in ("conv", "conv_transpose", "conv_input_grad", "conv_weight_grad", "fold"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda *_, **__: np.empty(0))
    calls, warm = 50_000, 15_000
    for seed in range(SEED + 10**7, SEED + 10**7 + warm):
        soak.solve(seed)
    gc.collect()
    before = resident()
    for seed in range(SEED + 10**7 + warm, SEED + 10**7 + warm + calls):
        soak.solve(seed)
    gc.collect()
    assert resident() - before < KEPT
