"""Memory, measured with a tracer: a method takes what it counts, and keeps to its budgets."""

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import fastconv as fc
from fastconv import dispatch, memory
from fastconv.config import settings
from fastconv.measure import make_arrays, our_call
from fastconv.measure.problems import conv
from fastconv.threads import get_num_threads

SLACK = 256 << 10  # bytes: tables of a problem, Python's own objects
PROBLEMS = [
    conv("conv", 4, 32, 48, 40, 3, padding=1),
    conv("conv", 2, 24, 40, 33, 3, padding=1, layout="NCHW"),
    conv("conv", 2, 256, 256, 9, 3, padding=1),
    conv("conv", 1, 16, 16, 64, 9, padding=4),
    conv("conv", 4, 64, 32, 30, 1),
    conv("conv", 1, 1, 1, 500, 15, padding=7, layout="NCHW"),
    conv("conv", 2, 64, 64, 40, 3, padding=1, groups=64),
    conv("conv", 1, 1, 1, (200_000,), (301,), padding=150, layout="NCW"),
    conv("input_grad", 2, 32, 48, 40, 3, padding=1),
    conv("input_grad", 2, 16, 24, 80, 5, padding=2, padding_mode="reflect"),
    conv("input_grad", 2, 32, 48, 40, 3, padding=1, padding_mode="edge", layout="NCHW"),
    conv("input_grad", 1, 1, 1, 1000, 9, padding=4, padding_mode="wrap", layout="NCHW"),
    conv("conv", 1, 1, 1, (3_000_000,), (31,), padding=15, layout="NCW"),
    conv("input_grad", 1, 4, 4, (1_000_000,), (31,), padding=15, layout="NWC"),
    conv("weight_grad", 1, 1, 1, (1_000_000,), (31,), padding=15, layout="NCW"),
    conv("weight_grad", 4, 32, 48, 40, 3, padding=1),
    conv("weight_grad", 2, 256, 256, 9, 3, padding=1),
    conv("weight_grad", 2, 16, 16, 40, 7, padding=3),
]
CASES = [
    pytest.param(problem, row.method, prepared, id=f"{problem}-{row.method}{'-plan' * prepared}")
    for problem in PROBLEMS
    for row in dispatch.rows(problem.table_op)
    for prepared in (False, True)
    if row.by_auto and row.reason(problem.spec) is None and not (prepared and problem.op != "conv")
]


def peak_of(call):
    """Bytes that a call takes at its peak, its result included; what it may keep for the next call counts as taken."""
    memory.forget_scratch()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before, result.nbytes


@pytest.mark.parametrize(("problem", "method", "prepared"), CASES)
def test_method_takes_what_it_counts_and_keeps_its_budget(problem, method, prepared):
    """Weights in another form (up to four times their size by Winograd), a strip a thread, and a bounded scratch."""
    counted = dispatch.work(replace(problem.spec, prepared=prepared), method).extra
    arrays = make_arrays(problem)
    call = our_call(problem, arrays, method, prepared=prepared)
    call()  # compiled, and tables made
    peak, result = peak_of(call)
    assert peak - result <= counted + SLACK
    assert counted <= 8 * (peak - result) + (3 << 20), "counts far more than it takes"
    strips = 4 * get_num_threads() * settings.tile_bytes
    weights = 5 * arrays["w"].nbytes
    assert peak - result <= settings.scratch_bytes + weights + strips


def test_scratch_that_is_kept_is_bounded(rng):
    memory.forget_scratch()
    w = rng.random((32, 32, 3, 3), np.float32)
    for size in range(60, 120, 12):
        for method in ("direct", "winograd", "im2col", "fft"):
            fc.conv2d(rng.random((2, 32, size, size), np.float32), w, method=method)
    assert 0 < memory.scratch_bytes() <= settings.scratch_bytes
    memory.forget_scratch()
    assert memory.scratch_bytes() == 0


@pytest.mark.parametrize("method", ["direct", "im2col", "winograd", "fft"])
def test_weights_of_plans_take_no_scratch(rng, method):
    """Networks keep many plans: what these hold must not take the room of what calls need for their length."""
    memory.forget_scratch()
    w = rng.random((64, 64, 3, 3), np.float32)
    plans = [fc.plan_conv2d(w, (1, 64, 8, 8), padding=1, method=method) for _ in range(3)]
    assert memory.scratch_bytes() == 0
    assert all(plan.nbytes >= w.nbytes for plan in plans)
    with memory.lasting():
        memory.scratch((1 << 16,), w.dtype)
    assert memory.scratch_bytes() == 0
