"""fastconv.njit: what users' compiled functions call gives the bits that Python's functions give."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numba
import numpy as np
import pytest
from cases import CASES
from child import has_layer
from numba.core.errors import TypingError
from problems import LAYOUTS, OPS, function, problem, to_last
from scipy import signal

import fastconv as fc
from fastconv.errors import InvalidArgument
from fastconv.njit import _calls, _door
from fastconv.njit._requests import KNOWN, Request, request_of

DTYPES = ("float32", "float64")
TAILS = {"conv": "", "conv_input_grad": "_input_grad", "conv_weight_grad": "_weight_grad"}


def same(a, b):
    """Equal to the last bit."""
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_array_equal(a.view(np.uint8) if a.flags.c_contiguous else a, b.view(np.uint8))


# Convolutions and gradients: the case table


@cache
def compiled(op, rank, last, mode):
    """A user's function that calls one of ours with all options as arguments, but for what has to be a constant."""
    call, layout = getattr(fc.njit, f"conv{rank}d{TAILS[op]}"), LAYOUTS[rank][last]

    @numba.njit
    def conv(x, w, b, stride, padding, dilation, groups):
        return call(x, w, b, stride, padding, dilation, groups, layout=layout, padding_mode=mode)

    @numba.njit
    def gradient(first, second, shape, stride, padding, dilation, groups):
        return call(first, second, shape, stride, padding, dilation, groups, layout=layout, padding_mode=mode)

    return conv if op == "conv" else gradient


def check_case(case, op, last, dtype):
    """One case by the compiled function and by Python's."""
    plain = dict(case.plain)
    mode = plain.pop("padding_mode")
    groups, stride, dilation, padding = (plain[k] for k in ("groups", "stride", "dilation", "padding"))
    data = problem(case)
    arrays = {"x": data.x, "w": data.w, "y": data.dy}
    if last:
        arrays = {name: to_last(a, is_weight=name == "w") for name, a in arrays.items()}
    first, second, result = {"conv": "xwy", "conv_input_grad": "ywx", "conv_weight_grad": "xyw"}[op]
    first, second = (np.ascontiguousarray(arrays[k], dtype) for k in (first, second))
    options = {**plain, "layout": LAYOUTS[case.rank][last], "padding_mode": mode}
    call = compiled(op, case.rank, last, mode)
    if op == "conv":
        b = np.linspace(-1, 1, case.w_shape[0]).astype(dtype)
        got = call(first, second, b, stride, padding, dilation, groups)
        expected = function(op, case.rank)(first, second, b, **options)
    else:
        shape = arrays[result].shape
        got = call(first, second, shape, stride, padding, dilation, groups)
        expected = function(op, case.rank)(first, second, shape, **options)
    same(got, expected)


QUICK = [case for case in CASES if case.rank == 2 and case.options.get("padding_mode", "zeros") == "zeros"]


@pytest.mark.parametrize(("op", "last", "dtype"), [("conv", False, "float32"), ("conv_weight_grad", True, "float64")])
def test_images_have_the_bits_of_pythons_functions(op, last, dtype):
    for case in QUICK:
        check_case(case, op, last, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("op", OPS)
def test_all_cases_have_the_bits_of_pythons_functions(op, last, dtype):
    for case in CASES:
        check_case(case, op, last, dtype)


def test_small_problems_need_no_python_after_the_first_call(monkeypatch):
    """Programs are found for what direct serves, so that threads do not wait for each other."""
    perform, called = _door.Known.perform, []

    def noted(self, *addresses):
        called.append(self.plan.operands)
        perform(self, *addresses)

    monkeypatch.setattr(_door.Known, "perform", noted)
    for case in QUICK:
        check_case(case, "conv", False, "float32")
    assert len(called) < len(QUICK) / 10, called


# Activations, arguments, errors


@numba.njit
def bent(v):
    return v * 0.5 if v < 0 else v + 1


@numba.njit
def activated(x, w, b):
    call = fc.njit.conv2d
    return (
        call(x, w, b, padding="same", activation=bent),
        call(x[:, :, ::2], w, padding=((1, 0), (2, 1)), stride=(1, 2), activation="relu"),
        call(x, w, b, padding=(1, 2), activation="tanh"),
    )


def test_activations_and_forms_of_padding():
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype("f4") for shape in ((2, 3, 12, 9), (5, 3, 3, 3), (5,)))
    got = activated(x, w, b)
    same(got[0], fc.conv2d(x, w, b, padding="same", activation=bent))
    same(got[1], fc.conv2d(x[:, :, ::2], w, padding=((1, 0), (2, 1)), stride=(1, 2), activation="relu"))
    same(got[2], fc.conv2d(x, w, b, padding=(1, 2), activation="tanh"))


@numba.njit
def strided(x, w, stride, groups):
    return fc.njit.conv2d(x, w, None, stride, 1, 1, groups)


@numba.njit
def guarded(x, w):
    try:
        strided(x, w, 1, 3)
    except Exception:
        return False
    return True


def test_wrong_values_say_what_was_expected():
    x, w = np.ones((1, 4, 6, 6)), np.ones((2, 4, 3, 3))
    for call, words in (
        (lambda: strided(x, w, 1, 3), "groups is 3; it must divide"),
        (lambda: strided(x, w, 0, 1), "stride is"),
        (lambda: strided(x, w[:, :3], 1, 1), "w has 3 input channels but x has 4"),
        (lambda: strided(x[:, :, :0], w, 1, 1), "the output would be empty"),
        (lambda: strided(x, w, 1, 0), "groups is 0"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            call()
    assert not guarded(x, w)  # caught in compiled code
    same(strided(x, w, 1, 1), fc.conv2d(x, w, padding=1))  # and it goes on


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((np.ones((1, 1, 4, 4), int), np.ones((1, 1, 2, 2))), "x is 'array.int64"),
        ((np.ones((1, 1, 4, 4), "f4"), np.ones((1, 1, 2, 2))), "expected the dtype of x, float32"),
        ((np.ones((1, 4, 4)), np.ones((1, 1, 2, 2))), "x has 3 axes; expected 4"),
        ((np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)), (1, 2, 3)), "expected an int or a tuple of 2 ints"),
        ((np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)), 1.5), "stride is 'float64'"),
    ],
)
def test_wrong_types_are_refused_when_the_call_is_compiled(given, words):
    @numba.njit
    def call(x, w, stride=1):
        return fc.njit.conv2d(x, w, None, stride)

    with pytest.raises(TypingError, match=words):
        call(*given)


def test_code_of_another_version_says_so(monkeypatch):
    """What its call site would find by name is not there."""
    monkeypatch.setattr(_calls, "NAME", "fastconv.njit.door0")

    @numba.njit
    def call(x):  # of types that no other test has: Numba compiles what is common once
        return fc.njit.global_avg_pool3d(x)

    with pytest.raises(ImportError, match="compiled for another version of fastconv"):
        call(np.ones((1, 1, 4, 4, 4), "f4"))


def test_codes_stand_for_their_requests():
    for place, known in enumerate(KNOWN):
        for value in known:
            request = Request("conv", 2, "float32")._replace(**{Request._fields[place]: value})
            assert request_of(request.code) == request


# Pools


@numba.njit
def pooled(x, size, stride, padding, ceil_mode):
    maxima, where = fc.njit.max_pool2d(x, size, stride, padding, 1, ceil_mode, True)
    means = fc.njit.avg_pool2d(x, size, stride, padding, 1, ceil_mode, count_include_pad=False)
    back = fc.njit.max_pool2d_grad(maxima, where, x.shape)
    spread = fc.njit.avg_pool2d_grad(means, x.shape, size, stride, padding, 1, ceil_mode, False)
    return maxima, where, means, back, spread, fc.njit.global_avg_pool2d(x), fc.njit.max_pool2d(x, 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pools_have_the_bits_of_pythons_functions(dtype):
    rng = np.random.default_rng(1)
    for shape, size, stride, padding, ceil_mode in (
        ((2, 3, 8, 8), 2, None, 0, False),
        ((1, 2, 9, 7), (3, 2), (2, 1), 1, True),
        ((1, 5, 17, 33), 3, 2, 1, False),
        ((2, 1, 5, 5), 5, 1, 0, False),
        ((0, 3, 8, 8), 2, 2, 0, False),
    ):
        x = rng.standard_normal(shape).astype(dtype)
        options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        got = pooled(x, size, size if stride is None else stride, padding, ceil_mode)
        maxima, where = fc.max_pool2d(x, size, **options, return_indices=True)
        means = fc.avg_pool2d(x, size, **options, count_include_pad=False)
        same(got[0], maxima)
        same(got[1], where)
        same(got[2], means)
        same(got[3], fc.max_pool2d_grad(maxima, where, x.shape))
        same(got[4], fc.avg_pool2d_grad(means, x.shape, size, **options, count_include_pad=False))
        same(got[5], fc.global_avg_pool2d(x))
        same(got[6], fc.max_pool2d(x, 2))


@numba.njit
def scattered(dy, indices, shape):
    return fc.njit.max_pool2d_grad(dy, indices, shape)


def test_indices_beyond_the_plane_are_refused():
    with pytest.raises(InvalidArgument, match="indices reach from 9 to 9"):
        scattered(np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 9), (1, 1, 3, 3))


# Signals


@numba.njit
def slid(a, b):
    return (
        fc.njit.convolve(a, b, "same"),
        fc.njit.correlate(a, b, "valid"),
        fc.njit.convolve2d(a, b),
        fc.njit.correlate2d(a, b, mode="same"),
    )


@numba.njit
def slid_along(a, b):
    return fc.njit.correlate(a, b)


SLID = (("convolve", "same"), ("correlate", "valid"), ("convolve2d", "full"), ("correlate2d", "same"))


def test_signals_are_those_of_scipy():
    rng = np.random.default_rng(2)
    for n, k in (((8, 9), (3, 3)), ((6, 7), (2, 4)), ((5, 5), (5, 1)), ((1, 4), (1, 4))):
        a, b = rng.standard_normal(n)[:, ::-1], rng.standard_normal(k)
        for (name, mode), y in zip(SLID, slid(a, b), strict=True):
            expected = getattr(signal, name)(a, b, mode)
            np.testing.assert_allclose(y, expected, atol=1e-13, err_msg=f"{name} {mode} {n} {k}")
        for name in ("convolve", "correlate", "convolve2d", "correlate2d"):
            for mode in ("full", "same", "valid"):
                expected = getattr(signal, name)(a, b, mode)
                np.testing.assert_allclose(getattr(fc.njit, name)(a, b, mode), expected, atol=1e-13)
    a, b = rng.standard_normal(40), rng.standard_normal(6)
    np.testing.assert_allclose(slid_along(a, b), signal.correlate(a, b), atol=1e-13)
    with pytest.raises(InvalidArgument, match="output would be empty"):
        slid(np.ones((4, 2))[:, ::-1], np.ones((3, 3)))


# Threads, processes, caches


def test_tables_are_replaced_when_they_are_full(monkeypatch):
    monkeypatch.setattr(_door, "MOST", 20)
    monkeypatch.setattr(_door, "KEPT", -1.0)
    for n in range(4, 64):
        x = np.arange(2.0 * n).reshape(1, 2, 1, n)
        same(strided(x, np.ones((1, 2, 3, 3)), 1, 1), fc.conv2d(x, np.ones((1, 2, 3, 3)), padding=1))


SCRIPT = """
import os, sys, warnings
import numba, numpy as np
import fastconv as fc

@numba.njit(cache=True)
def features(x, w):
    return fc.njit.max_pool2d(fc.njit.conv2d(x, w, padding=1, activation="relu"), 2)

@numba.njit(cache=True, parallel=True)
def each(x, w, y):
    for i in numba.prange(len(x)):
        y[i] = features(x[i : i + 1], w)[0]

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((16, 3, 10, 10)), rng.standard_normal((4, 3, 3, 3))
    y = np.zeros((16, 4, 5, 5))
    each(x, w, y)
    expected = fc.max_pool2d(fc.conv2d(x, w, padding=1, activation="relu", method="direct"), 2)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    one = features(x[:1], w)
    np.testing.assert_array_equal(one, fc.max_pool2d(fc.conv2d(x[:1], w, padding=1, activation="relu"), 2))
    hits = [sum(f.stats.cache_hits.values()) for f in (each, features)]
    print(hits, numba.threading_layer())
    sys.stdout.flush()
    if hasattr(os, "fork"):  # a child calls what it knows, and what is new to it
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                np.testing.assert_array_equal(features(x[:1], w), one)
                new = fc.max_pool2d(fc.conv2d(x[:, :, 3:], w, padding=1, activation="relu"), 2)
                np.testing.assert_array_equal(features(x[:, :, 3:].copy(), w), new)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
"""


def run_script(script, **environment):
    """What a user's program prints, and how long that took."""
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(fc.__file__).parent.parent), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@pytest.mark.parametrize(
    "layer", ["default", *(pytest.param(n, marks=pytest.mark.slow) for n in ("workqueue", "omp", "tbb"))]
)
def test_the_next_process_starts_from_the_users_cache(tmp_path, layer):
    """Nothing of this process, no address of its kernels, may be in what the user's cache keeps."""
    if not has_layer(layer):
        pytest.skip(f"Numba has no {layer} here")
    script, chosen = tmp_path / "program.py", {} if layer == "default" else {"NUMBA_THREADING_LAYER": layer}
    script.write_text(SCRIPT)
    for hits in ("[0, 0]", "[1, 1]"):
        said = run_script(script, NUMBA_CACHE_DIR=str(tmp_path / "cache"), **chosen)
        assert said.startswith(hits) and (layer == "default" or said.endswith(layer))
