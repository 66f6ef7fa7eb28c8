"""bfloat16 and float16 on the CPU: products of pairs, float32 elsewhere, and the conversions between them."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from cases import CASES
from problems import LAYOUTS, Problem, problem, to_last

import fastconv as fc
from fastconv import dispatch, measure
from fastconv.cpu import counts, halves
from fastconv.measure import kernels
from fastconv.simd.host import Host, host
from fastconv.spec import conv_problem

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FORMATS = (np.dtype(np.float16), BFLOAT16)
METHODS = ("direct", "im2col")
ROUNDED = 2.0**-8  # bfloat16: half the distance of neighbours, relative to the smaller
ARRAYS = ["pairs", "float32"]


@pytest.fixture(params=ARRAYS)
def arithmetic(request, monkeypatch):
    """As this host does it, which may be pairs, and as a host without them does."""
    if request.param == "float32":
        monkeypatch.setattr(counts, "host", lambda: replace(host(), pairs=False))
    elif not host().pairs:
        pytest.skip("this host does not multiply pairs of bfloat16")
    dispatch.forget()
    yield request.param
    monkeypatch.undo()
    dispatch.forget()


def in_halves(case, op, change=np.positive):
    """The problem of a case whose operands bfloat16 holds exactly, changed by a function."""
    data = Problem(case, whole=False)
    data.arrays = {op: tuple(change(a.astype(BFLOAT16).astype(float)) for a in data.arrays[op])}
    return data


@pytest.mark.parametrize("case", CASES[::2], ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_whole_numbers_are_rounded_once(last, case):
    """Sums of small whole numbers are exact in float32, in any order: what is left is rounding to nearest even."""
    data = problem(case, whole=True)
    for op in ("conv", "conv_input_grad"):
        expected = data.expected(op).astype(np.float32).astype(BFLOAT16)
        for method in METHODS:
            y = data.solve(op, last, BFLOAT16, method=method)
            np.testing.assert_array_equal(y, expected, err_msg=f"{op} {method}")


@pytest.mark.parametrize("case", CASES[::12], ids=str)
@pytest.mark.parametrize("op", ["conv", "conv_input_grad", "conv_weight_grad"])
def test_sums_are_float32s(op, case, arithmetic):
    """Within terms * eps of |x|*|w| in float32, and the rounding of the result; on any host."""
    data = in_halves(case, op)
    expected, allowed = data.expected(op), data.terms(op) * 2.0**-23 * in_halves(case, op, np.abs).expected(op)
    for method in (*METHODS, "auto"):
        y = data.solve(op, method == "direct", BFLOAT16, method=method).astype(float)
        slack = 40 if method == "auto" else 1  # it may be a transform
        assert np.all(np.abs(y - expected) <= slack * allowed + ROUNDED * np.abs(expected)), method


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "leaky_relu"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_bias_activation_and_plans(rank, activation, arithmetic, rng):
    """The activation sees the sum with its bias before it is rounded; a plan gives the same bits."""
    size = (9, 8, 7)[:rank]
    x, w = rng.standard_normal((2, *size, 6)).astype(BFLOAT16), rng.standard_normal((3,) * rank + (6, 20))
    w, b = w.astype(BFLOAT16), rng.standard_normal(20).astype(BFLOAT16)
    options = {"padding": 1, "layout": LAYOUTS[rank][1], "activation": activation, "method": "direct"}
    conv = getattr(fc, f"conv{rank}d")
    y = conv(x, w, b, **options)
    expected = conv(x.astype(float), w.astype(float), b.astype(float), **options)
    assert y.dtype == BFLOAT16
    np.testing.assert_allclose(y.astype(float), expected, rtol=ROUNDED, atol=2e-4)
    plan = getattr(fc, f"plan_conv{rank}d")(w, x.shape, b, **options)
    w[...] = np.nan
    assert plan.dtype == BFLOAT16 and plan.method == "direct"
    np.testing.assert_array_equal(plan(x), y)
    out = np.empty_like(y)
    assert plan(x, out=out) is out
    np.testing.assert_array_equal(out, y)


def test_arrays_as_they_come(arithmetic, rng):
    """Strided, read-only, misaligned by half a pair, mixed with float32; out=; no images; on one thread."""
    x, w = rng.standard_normal((2, 7, 9, 8)).astype(BFLOAT16), rng.standard_normal((3, 3, 8, 5)).astype(BFLOAT16)
    options = {"padding": 1, "layout": "NHWC", "method": "direct"}
    expected = fc.conv2d(x, w, **options)
    wide = np.zeros((2, 7, 9, 16), BFLOAT16)
    wide[..., ::2] = x
    np.testing.assert_array_equal(fc.conv2d(wide[..., ::2], w, **options), expected)
    moved = np.empty(x.size + 1, BFLOAT16)[1:].reshape(x.shape)
    moved[...] = x
    moved.setflags(write=False)
    np.testing.assert_array_equal(fc.conv2d(moved, w, **options), expected)
    out = np.zeros(expected.shape, BFLOAT16)
    assert fc.conv2d(x, w, out=out, **options) is out
    np.testing.assert_array_equal(out, expected)
    assert fc.conv2d(x[:0], w, **options).shape == (0, 7, 9, 5)
    assert fc.conv2d(x, w.astype(np.float32), **options).dtype == np.float32
    with fc.threads(1):
        np.testing.assert_array_equal(fc.conv2d(x, w, **options), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_reach_what_they_meet(value, arithmetic, rng):
    """Also in an odd number of channels, where zeros make up the last pair."""
    x, w = rng.standard_normal((1, 6, 7, 3)).astype(BFLOAT16), rng.standard_normal((3, 3, 3, 18)).astype(BFLOAT16)
    x[0, 3, 3, 1] = value
    for method in (*METHODS, "auto"):
        bad = ~np.isfinite(fc.conv2d(x, w, padding=1, layout="NHWC", method=method).astype(float))
        assert bad[0, 2:5, 2:5].all() and bad.sum() == 9 * 18
    dy, w = rng.standard_normal((1, 4, 5, 4)).astype(BFLOAT16), rng.standard_normal((3, 3, 3, 4)).astype(BFLOAT16)
    w[1, 1, 1, 2] = value
    dx = fc.conv2d_input_grad(dy, w, (1, 6, 7, 3), layout="NHWC", method="direct").astype(float)
    bad = ~np.isfinite(dx)
    assert bad[0, 1:5, 1:6, 1].all() and bad.sum() == 20


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_conversions(dtype, rng, monkeypatch):
    """Every number there is, and float32 of all bit patterns, against NumPy; where the host cannot, NumPy does it."""
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    with np.errstate(all="ignore"):
        wide = every.astype(np.float32)
        step = 2.0**-11 if dtype == np.float16 else 2.0**-9  # a half of what is kept: ties among them
        between = wide * (1 + rng.integers(-4, 5, wide.size) * step).astype(np.float32)
        patterns = rng.integers(0, 1 << 32, 70_001, np.uint32).view(np.float32)
        given = np.concatenate([wide, between, patterns])
        expected = given.astype(dtype)
    for unit in (host(), replace(host(), half=False)):
        monkeypatch.setattr(halves, "host", lambda unit=unit: unit)
        y, z = np.full(wide.size, 99, np.float32), np.full(given.size, 99, dtype)
        halves.widen(every, y)
        np.testing.assert_array_equal(y, wide)
        halves.narrow(given, z)
        np.testing.assert_array_equal(z.astype(np.float32), expected.astype(np.float32))
        np.testing.assert_array_equal(np.signbit(z), np.signbit(expected))


@pytest.mark.skipif(not host().pairs, reason="this host does not multiply pairs of bfloat16")
def test_auto_compares_pairs_with_conversions():
    """A tile of pairs takes half of float32's time; a transform has its conversions counted."""
    half = conv_problem((8, 28, 28, 256), (1, 1, 256, 256), rank=2, layout="NHWC", dtype="bfloat16")
    single = replace(half, dtype="float32")
    assert dispatch.choose_method(half) in METHODS
    assert dispatch.predict(half, "direct") < 0.7 * dispatch.predict(single, "direct")
    three = conv_problem((8, 28, 28, 64), (3, 3, 64, 64), rank=2, padding=1, layout="NHWC", dtype="bfloat16")
    work, plain = (dispatch.work(p, "winograd") for p in (three, replace(three, dtype="float32")))
    assert work.tile == plain.tile and work.cached > plain.cached and work.extra > plain.extra
    assert dispatch.describe(three, "direct").startswith("panels of pairs")
    assert dispatch.describe(three, "winograd").startswith("in float32")
    depthwise = conv_problem((8, 28, 28, 64), (3, 3, 1, 64), rank=2, groups=64, layout="NHWC", dtype="bfloat16")
    assert dispatch.describe(depthwise, "direct").startswith("planar")


def test_reports_name_the_arithmetic(arithmetic):
    report = fc.explain((2, 16, 16, 32), (3, 3, 32, 32), padding=1, layout="NHWC", dtype=BFLOAT16, seconds=0)
    told = {c.method: c.kernel for c in report.candidates}
    assert ("pairs" in told["direct"]) == (arithmetic == "pairs") and told["winograd"].startswith("in float32")
    assert "bfloat16" in str(report)
    assert fc.choose_method((2, 16, 16, 32), (3, 3, 32, 32), layout="NHWC", dtype="bfloat16") in dispatch.METHODS
    assert fc.info()["machine"]["bfloat16"] == ("pairs" if host().pairs else "float32")


@pytest.mark.parametrize(
    ("features", "pairs", "half"),
    [("+avx512f,+avx512bf16,+f16c", True, True), ("+avx512f,+f16c", False, True), ("+avx2,+fma", False, False)],
)
def test_hosts(features, pairs, half, monkeypatch):
    """What LLVM may use decides, not what the processor has."""
    module = importlib.import_module("fastconv.simd.host")
    monkeypatch.setattr(module.numba_config, "CPU_NAME", "x86-64")
    monkeypatch.setattr(module.numba_config, "CPU_FEATURES", features)
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    unit = module.host.__wrapped__()
    assert (unit.pairs, unit.half) == (pairs, half) and isinstance(unit, Host)


def test_channels_first_is_the_same_sum(rng):
    """Strips and results are transposed on the way."""
    x, w = rng.standard_normal((2, 70, 9, 37)).astype(BFLOAT16), rng.standard_normal((40, 70, 3, 3)).astype(BFLOAT16)
    first = fc.conv2d(x, w, padding=1, method="direct")
    last = fc.conv2d(to_last(x), np.moveaxis(w, (0, 1), (-1, -2)), padding=1, layout="NHWC", method="direct")
    np.testing.assert_array_equal(to_last(first), last)


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_sums_of_several_rounds_are_rounded_once(last, rng):
    """Weights larger than the cache are summed in rounds, between which sums wait in float32."""
    x, w = rng.integers(-3, 4, (1, 900, 4, 5)), rng.integers(-3, 4, (33, 900, 3, 3))
    expected = (
        fc.conv2d(x.astype(float), w.astype(float), padding=1, method="direct").astype(np.float32).astype(BFLOAT16)
    )
    x, w, layout = x.astype(BFLOAT16), w.astype(BFLOAT16), LAYOUTS[2][last]
    if last:
        x, w, expected = to_last(x), to_last(w, True), to_last(expected)
    np.testing.assert_array_equal(fc.conv2d(x, w, padding=1, layout=layout, method="direct"), expected)


@pytest.mark.parametrize("number", [0, 4, -2, -1])
def test_benchmarks_of_halves(number):
    """The suite's problems are checked and timed like others; tiles of pairs are subjects of the suite kernel."""
    found = measure.compare(measure.suite("bfloat16", tiny=True)[number], methods=["auto", "direct"], seconds=0)
    assert not found.wrong and all(entry.timing for entry in found.ours.values())


@pytest.mark.skipif(not host().pairs, reason="this host does not multiply pairs of bfloat16")
def test_tiles_of_pairs_are_measured():
    subjects = list(kernels.GROUPS["tile"]("bfloat16"))
    assert "bfloat16" in kernels.dtypes() and kernels.groups("bfloat16") == ("tile",)
    assert max(subject.error() for subject in subjects) < kernels.TOLERANCES["bfloat16"]
    assert measure.measure_peaks("bfloat16", 0.01).gflops > 0
