"""Threads change the time and nothing else: same bits for any number, safe with other threads and after fork."""

import importlib
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numba
import numpy as np
import pytest
from cases import CASES, Case
from child import has_layer
from problems import OPS, function, problem

import fastconv as fc
from fastconv import dispatch
from fastconv.cpu import activation
from fastconv.errors import InvalidArgument, Unsupported

#: The module; fc.threads is the function.
threads = importlib.import_module("fastconv.threads")

METHODS = sorted({row.method for op in OPS for row in dispatch.rows(op)})
#: Large enough that every kernel splits its work, with a remainder for every number of threads.
LARGE = [
    Case("large", (3, 17, 23, 29), (33, 17, 3, 3), {"padding": 1}),
    Case("large strided", (2, 8, 41, 37), (24, 8, 5, 5), {"padding": 2, "stride": 2}),
    Case("large one channel", (1, 1, 127, 131), (1, 1, 9, 9), {"padding": 4}),
    Case("large depthwise", (2, 19, 31, 33), (19, 1, 3, 3), {"padding": 1, "groups": 19}),
    Case("large 1-D", (1, 3, 9001), (2, 3, 17), {}),
]


@pytest.fixture
def always_parallel(monkeypatch):
    """Even the tiniest problem is shared among threads."""
    monkeypatch.setattr(threads, "settings", replace(threads.settings, serial_flops=1))


@pytest.mark.parametrize("case", LARGE, ids=str)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("method", METHODS)
def test_same_bits_for_any_number_of_threads(method, op, case, always_parallel):
    data = problem(case)
    for channels_last in (False, True):
        results = []
        for n in (1, 2, 3, 7):
            with fc.threads(n):
                try:
                    results.append(data.solve(op, channels_last, "float32", method=method))
                except Unsupported:
                    return
        for other in results[1:]:
            np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("op", OPS)
def test_tiny_problems_shared_among_threads(op, method, always_parallel):
    """Fewer tasks than threads, tasks without work."""
    for case in CASES[::3]:
        data = problem(case)
        try:
            with fc.threads(1):
                alone = data.solve(op, False, "float32", method=method)
            with fc.threads(3):
                np.testing.assert_array_equal(data.solve(op, False, "float32", method=method), alone, err_msg=case.name)
        except Unsupported:
            continue


# The setting


def test_block_restores_the_number():
    before = fc.get_num_threads()
    with fc.threads(3):
        assert fc.get_num_threads() == 3
        with fc.threads(1):
            assert fc.get_num_threads() == 1
        assert fc.get_num_threads() == 3
    assert fc.get_num_threads() == before
    with pytest.raises(KeyError), fc.threads(2):
        raise KeyError
    assert fc.get_num_threads() == before


def test_set_inside_a_block_ends_with_it():
    before = fc.get_num_threads()
    with fc.threads(2):
        fc.set_num_threads(5)
        assert fc.get_num_threads() == 5
    assert fc.get_num_threads() == before


def test_block_is_this_threads_own():
    seen = []
    before = fc.get_num_threads()
    with fc.threads(before + 3):
        other = threading.Thread(target=lambda: seen.append(fc.get_num_threads()))
        other.start()
        other.join()
    assert seen == [before]


def test_set_reaches_other_threads():
    before = fc.get_num_threads()
    try:
        fc.set_num_threads(before + 1)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(fc.get_num_threads).result() == before + 1
    finally:
        fc.set_num_threads(before)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True, [2]])
def test_numbers_that_are_none(n):
    with pytest.raises(InvalidArgument, match="number of threads is"):
        fc.set_num_threads(n)
    with pytest.raises(InvalidArgument, match="number of threads is"), fc.threads(n):
        pass


def test_numpy_numbers_are_numbers():
    with fc.threads(np.int32(2)):
        assert fc.get_num_threads() == 2
        assert type(fc.get_num_threads()) is int


def test_team():
    with fc.threads(4):
        assert threads.team(1, 10**12) == 1
        assert threads.team(3, 10**12) == 3
        assert threads.team(100, 10**12) == 4
        assert threads.team(100, 1) == 1


# Other threads and processes


def test_concurrent_callers_get_their_own_results(always_parallel):
    cases = LARGE * 4
    expected = {case: problem(case).expected("conv") for case in LARGE}

    def work(case):
        y = problem(case).solve("conv", False, "float64", method="direct")
        return np.abs(y - expected[case]).max()

    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(work, cases)) < 1e-10


SCRIPT = """
    import os, sys
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np
    import fastconv as fc

    fc.set_num_threads(2)
    x = np.random.default_rng(0).standard_normal((4, 8, 40, 40)).astype("f4")
    w = np.random.default_rng(1).standard_normal((16, 8, 3, 3)).astype("f4")
    expected = fc.conv2d(x, w, method="direct")

    def check(_):
        for method in ("direct", "im2col", "fft"):
            y = fc.conv2d(x, w, method=method)
            np.testing.assert_allclose(y, expected, atol=1e-4)
        dw = fc.conv2d_weight_grad(x, expected, w.shape)
        return float(dw.sum())
"""


def run(script, before=SCRIPT, **environment):
    code = textwrap.dedent(before) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_concurrent_callers_of_a_fresh_process():
    run(
        """
        with ThreadPoolExecutor(4) as pool:
            sums = list(pool.map(check, range(12)))
        assert len(set(sums)) == 1, sums
        """
    )


@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_beside_a_users_own_parallel_function(layer):
    """In another thread; under workqueue Numba would end the process if it found us in its regions, too."""
    if not has_layer(layer):
        pytest.skip(f"Numba's {layer} layer is not installed")
    run(
        """
        import threading
        import numba

        @numba.njit(parallel=True)
        def own(a):
            total = 0.0
            for i in numba.prange(a.size):
                total += a[i]
            return total

        a = np.arange(1001.0)
        assert own(a) == 500500  # starts Numba's layer
        finished = threading.Event()

        def users():
            while not finished.is_set():
                assert own(a) == 500500

        others = [threading.Thread(target=users) for _ in range(1 if numba.threading_layer() == "workqueue" else 3)]
        for other in others:
            other.start()
        for _ in range(40):
            check(0)
        finished.set()
        for other in others:
            other.join()
        assert fc.info()["threading_layer"] == "fastconv's own, 1 beside the caller"
        """,
        NUMBA_THREADING_LAYER=layer,
    )


@pytest.mark.parametrize("layer", ["workqueue", "omp", "tbb"])
def test_within_a_users_parallel_region(layer):
    """In object mode, so that each of Numba's threads calls a convolution."""
    if not has_layer(layer):
        pytest.skip(f"Numba's {layer} layer is not installed")
    run(
        """
        import numba

        def off():
            return float(np.abs(fc.conv2d(x, w, method="direct") - expected).max())

        @numba.njit(parallel=True)
        def outer():
            worst = np.ones(8)
            for i in numba.prange(8):
                with numba.objmode(difference="float64"):
                    difference = off()
                worst[i] = difference
            return worst.max()

        assert outer() == 0
        """,
        NUMBA_THREADING_LAYER=layer,
    )


@pytest.mark.parametrize("variable", ["NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"])
def test_numbas_layer_does_not_matter(variable):
    script = """
        import numpy as np, fastconv as fc
        with fc.threads(2):
            assert (fc.matmul(np.ones((256, 256)), np.ones((256, 256))) == 256).all()
    """
    run(script, before="", **{variable: "fast"})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_use_after_fork():
    """A child works, on one thread, and its parent goes on."""
    run(
        """
        before = check(0)
        import warnings
        warnings.simplefilter("ignore")  # Python warns of fork in a process with threads
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert sys.modules["fastconv.threads"].team(100, 10**12) == 1
                status = 0 if check(0) == before else 2
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert check(0) == before
        """
    )


def test_kernels_release_the_interpreter():
    """Another Python thread runs while a long convolution does."""
    x, w = np.ones((1, 16, 300, 300), np.float32), np.ones((32, 16, 7, 7), np.float32)
    function("conv", 2)(x, w, method="direct")
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(1)

    other = threading.Thread(target=tick)
    other.start()
    with fc.threads(1):
        for _ in range(4):
            function("conv", 2)(x, w, method="direct")
    stop.set()
    other.join()
    assert len(ticks) > 3


# --- exceptions


@numba.njit
def refuses_large(v):
    if v > 3:
        raise ValueError("too large", v)
    return v + 1


def large_at(places, size):
    """Zeros, but for 10, 11, ... at some places."""
    y = np.zeros(size, np.float32)
    y[places] = 10 + np.arange(len(places))
    return y


@pytest.mark.parametrize("members", [1, 2, 3, 5])
@pytest.mark.parametrize("places", [[0], [199_999], [60_000, 190_000], [199_999, 5]], ids=str)
def test_what_an_activation_raises_for_the_first_element_is_raised(places, members):
    y = large_at(places, 200_000)
    before = sys.getrefcount(y)
    for _ in range(3):
        with fc.threads(members), pytest.raises(ValueError, match="too large") as caught:
            activation.apply(y, refuses_large)
        assert caught.value.args == ("too large", y[min(places)])  # as on one thread
        del caught
    assert sys.getrefcount(y) == before  # what raises does not keep the array
    y[places] = 0
    with fc.threads(members):
        activation.apply(y, refuses_large)
    assert y[places] == pytest.approx(1)


CONVOLVES = {
    **{method: lambda x, w, b, method=method, **options: fc.conv2d(x, w, b, method=method, **options)
       for method in METHODS},
    "planar": lambda x, w, b, **options: fc.conv2d(x, w[:1, :1], b[:1], groups=1, **options),
    "plan": lambda x, w, b, activation: fc.plan_conv2d(w, x.shape, b, activation=activation)(x),
    "transposed": lambda x, w, b, **options: fc.conv_transpose2d(x, w, b, **options),
    "matmul": lambda x, w, b, **options: fc.matmul(x.reshape(-1, 16), np.ones((16, 4), x.dtype), b, **options),
}  # fmt: skip


@pytest.mark.parametrize("members", [1, 2, 3])
@pytest.mark.parametrize("op", CONVOLVES)
def test_no_operator_swallows_what_an_activation_raises(op, members, always_parallel):
    x = np.zeros((1, 1 if op == "planar" else 4, 64, 64), np.float32)
    w, b = np.ones((4, 4, 3, 3), np.float32), np.zeros(4, np.float32)
    with fc.threads(members):
        x[..., -1, -1] = 100  # in the last task
        with pytest.raises(ValueError, match="too large"):
            CONVOLVES[op](x, w, b, activation=refuses_large)
        x[...] = 0
        np.testing.assert_allclose(CONVOLVES[op](x, w, b, activation=refuses_large), 1, atol=1e-5)


def test_an_exception_without_arguments_and_of_another_type():
    @numba.njit
    def refuses(v):
        if v < 0:
            raise IndexError
        return v

    for members in (1, 4):
        with fc.threads(members), pytest.raises(IndexError) as caught:
            activation.apply(np.full(100_000, -1.0), refuses)
        assert caught.value.args == ()
