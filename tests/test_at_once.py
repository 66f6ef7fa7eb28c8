"""Many at once: threads that call everything, processes that begin with an empty cache, children after a fork.

The short forms run always; the slow ones are those of the promise: 64 threads of 1,000 calls, 8 processes, and Numba's
threading layers.
"""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
from child import has_layer

import fastconv as fc


@numba.njit(nogil=True)
def by_compiled_code(x, w, size):
    y = fc.njit.conv2d(x, w, padding=1, activation="relu")
    pooled, where = fc.njit.max_pool2d(y, size, return_indices=True)
    back = fc.njit.conv2d_input_grad(fc.njit.max_pool2d_grad(pooled, where, y.shape), w, x.shape, padding=1)
    return back, fc.njit.conv2d_weight_grad(x, y, w.shape, padding=1)


@numba.njit
def spread(window):
    return window.max() - window.min()


def inputs(number):
    rng = np.random.default_rng(number)
    channels, size = 1 + number % 5, 8 + number % 7
    x = rng.standard_normal((1 + number % 2, channels, size, size + 3))
    return x.astype("f4" if number % 3 else "f8"), rng.standard_normal((4, channels, 3, 3)).astype(
        "f4" if number % 3 else "f8"
    )


CALLS = (
    lambda x, w: by_compiled_code(x, w, 2)[0],
    lambda x, w: by_compiled_code(x, w, 3)[1],
    lambda x, w: fc.conv2d(x, w, padding=1, method="direct"),
    lambda x, w: fc.conv2d(x, w, padding=1, method="winograd"),
    lambda x, w: fc.conv2d(x, w, padding=1, method="fft"),
    lambda x, w: fc.conv2d_input_grad(fc.conv2d(x, w), w, x.shape),
    lambda x, w: fc.avg_pool2d(x, 3, stride=2, padding=1),
    lambda x, w: fc.stencil(x[0, 0], 3, spread, mode="wrap"),
    lambda x, w: fc.njit.correlate2d(x[0, 0], w[0, 0], "same"),
    lambda x, w: fc.matmul(x.reshape(-1, x.shape[-1]), x.reshape(-1, x.shape[-1]), transpose_b=True),
)
FEW, ALL = (1, 2, 4, 5), range(12)  # inputs: the few are of one dtype


def expected(kinds):
    return {(i, k): call(*inputs(k)) for i, call in enumerate(CALLS) for k in kinds}


def one_of_many(seed, rounds, right):
    """Calls in an order of one's own, each compared to the last bit; the first that differs, or None."""
    draw, given = random.Random(seed), {k: inputs(k) for _, k in right}
    for i, k in draw.choices(list(right), k=rounds):
        if not np.array_equal(CALLS[i](*given[k]), right[i, k]):
            return i, k
    return None


@pytest.mark.parametrize(
    ("threads", "rounds", "kinds"), [(8, 40, FEW), pytest.param(64, 1000, ALL, marks=pytest.mark.slow)]
)
def test_threads(threads, rounds, kinds):
    right = expected(kinds)
    with ThreadPoolExecutor(threads) as pool:
        wrong = list(pool.map(one_of_many, range(threads), [rounds] * threads, [right] * threads))
    assert wrong == [None] * threads


def test_threads_whose_first_calls_come_at_once():
    """Nobody has planned, or compiled, what all ask for."""
    x, w = np.ones((1, 3, 31, 29), "f4"), np.ones((2, 3, 3, 3), "f4")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: by_compiled_code(x, w, 4), range(8)))
    assert all(np.array_equal(a, b) for each in found for a, b in zip(each, found[0], strict=True))


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_at_once
right = test_at_once.expected(test_at_once.ALL)
assert test_at_once.one_of_many(0, 60, right) is None
print([float(np.abs(a).sum()) for a in right.values()])
"""


@pytest.mark.slow
def test_processes_that_begin_with_an_empty_cache(tmp_path):
    here = Path(__file__).parent
    environment = {**os.environ, "FASTCONV_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(here.parent)}
    command = [sys.executable, "-c", SCRIPT, str(here)]
    processes = [subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True) for _ in range(8)]
    said = [process.communicate(timeout=3000) for process in processes]
    assert all(process.returncode == 0 for process in processes), said
    assert len({out for out, _ in said}) == 1, said


PARALLEL = """
import os, sys, warnings
sys.path.insert(0, sys.argv[1])
import numba, numpy as np
import fastconv as fc
import test_at_once

@numba.njit(parallel=True)
def each(x, w, y):
    for i in numba.prange(len(x)):
        y[i] = fc.njit.conv2d(x[i : i + 1], w, padding=1)[0]

right = test_at_once.expected(test_at_once.FEW)
x, w = (np.random.default_rng(0).standard_normal(shape) for shape in ((200, 3, 12, 12), (5, 3, 3, 3)))
plain, y = fc.conv2d(x, w, padding=1, method="direct"), np.zeros((200, 5, 12, 12))
for turn in range(50):
    y[:] = 0
    each(x, w, y)
    np.testing.assert_allclose(y, plain, rtol=1e-11, atol=1e-11)
    assert test_at_once.one_of_many(turn, 20, right) is None
    if hasattr(os, "fork") and turn % 10 == 0:
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if test_at_once.one_of_many(turn, 20, right) is None else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
assert numba.threading_layer() == sys.argv[2], numba.threading_layer()
"""


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_each_threading_layer_of_numba(layer):
    """Parallel loops that call our functions, our functions between them, and children after both."""
    if not has_layer(layer):
        pytest.skip(f"Numba has no {layer} here")
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", PARALLEL, str(here), layer],
        env={**os.environ, "NUMBA_THREADING_LAYER": layer, "PYTHONPATH": str(here.parent)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
