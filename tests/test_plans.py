"""Plans: the same results as the functions they stand for, bit for bit, and errors of their own."""

import threading

import numpy as np
import pytest
from cases import CASES
from problems import LAYOUTS, problem, to_last

import fastconv as fc
from fastconv import dispatch
from fastconv.errors import InvalidArgument, Unsupported

METHODS = [row.method for row in dispatch.rows("conv")]
IMAGES, FILTERS = (2, 5, 9, 8), (6, 5, 3, 3)


def plan_of(rank):
    return getattr(fc, f"plan_conv{rank}d")


def operands(case, last, dtype="float32"):
    whole = problem(case, whole=True)
    x, w, b = (np.array(a, dtype) for a in (whole.x, whole.w, whole.b))
    return (to_last(x), to_last(w, True), b) if last else (x, w, b)


@pytest.mark.parametrize("case", CASES[::4], ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_equals_the_function(method, last, case):
    x, w, b = operands(case, last)
    options = {**case.options, "layout": LAYOUTS[case.rank][last], "activation": "tanh"}
    try:
        plan = plan_of(case.rank)(w, x.shape, b, method=method, **options)
    except Unsupported:
        assert method != "auto"
        with pytest.raises(Unsupported):
            getattr(fc, f"conv{case.rank}d")(x, w, b, method=method, **options)
        return
    expected = getattr(fc, f"conv{case.rank}d")(x, w, b, method=plan.method, **options)
    w[...], b[...] = np.nan, np.nan  # the plan has weights of its own
    rounding = 100 * np.finfo(expected.dtype).eps if plan.method == "fft" else 0  # which cuts other tiles in a plan
    for _ in range(2):
        np.testing.assert_allclose(plan(x), expected, rtol=0, atol=rounding)
    assert plan.y_shape == expected.shape


@pytest.mark.parametrize("method", METHODS)
def test_prepared_weights_are_not_read_again(method, rng):
    x, w = rng.random(IMAGES, np.float32), rng.random(FILTERS, np.float32)
    plan = fc.plan_conv2d(w, x.shape, method=method, padding=1)
    expected = plan(x)
    plan._w[...] = np.nan
    np.testing.assert_array_equal(plan(x), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", sorted(set(METHODS) & set(dispatch.SPREADING)))
def test_auto_keeps_bad_numbers_where_they_belong(method, bad, rng, monkeypatch):
    monkeypatch.setattr(dispatch, "choose_method", lambda *args, **options: method)
    dispatch.forget()
    try:
        x, w = rng.random(IMAGES, np.float32), rng.random(FILTERS, np.float32)
        plan = fc.plan_conv2d(w, x.shape, padding=1, activation="relu")
        assert plan.method == method
        clean = plan(x)
        x[1, 2, 4, 4] = bad
        y = plan(x)
        np.testing.assert_array_equal(y, fc.conv2d(x, w, padding=1, activation="relu", method="direct"))
        assert np.isfinite(y[0]).all()
        x[1, 2, 4, 4] = 0.5
        assert plan(x).shape == clean.shape
    finally:
        dispatch.forget()


def test_out_and_threads(rng):
    x, w = rng.random((4, 16, 20, 20), np.float32), rng.random((16, 16, 3, 3), np.float32)
    plan = fc.plan_conv2d(w, x.shape)
    expected = plan(x)
    out = np.full_like(expected, np.nan)
    assert plan(x, out=out) is out
    np.testing.assert_array_equal(out, expected)
    with fc.threads(2):
        np.testing.assert_array_equal(plan(x), expected)
    results = []
    workers = [threading.Thread(target=lambda: results.append(plan(x))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_dtypes(rng):
    x, w = rng.random(IMAGES), rng.random(FILTERS)
    assert fc.plan_conv2d(w, x.shape)(x).dtype == np.float64
    half = fc.plan_conv2d(w.astype(np.float16), x.shape)
    assert half(x.astype(np.float16)).dtype == np.float16
    single = fc.plan_conv2d(w.astype(np.float32), x.shape)
    assert single(x.astype(np.float16)).dtype == np.float32
    np.testing.assert_array_equal(single(x), single(x.astype(np.float32)))


def test_bad_input(rng):
    x, w = rng.random(IMAGES, np.float32), rng.random(FILTERS, np.float32)
    plan = fc.plan_conv2d(w, x.shape)
    with pytest.raises(InvalidArgument, match=r"x has shape \(1, 5, 9, 8\); this plan is for \(2, 5, 9, 8\)"):
        plan(x[:1])
    with pytest.raises(InvalidArgument, match="complex64"):
        plan(x.astype(np.complex64))
    with pytest.raises(InvalidArgument, match="plans serve real numbers"):
        fc.plan_conv2d(w.astype(np.complex64), x.shape)
    with pytest.raises(InvalidArgument, match="3 input channels"):
        fc.plan_conv2d(w[:, :3], x.shape)
    with pytest.raises(InvalidArgument, match="out has shape"):
        plan(x, out=np.empty(3, np.float32))
    with pytest.raises(InvalidArgument, match="the shape of x"):
        fc.plan_conv2d(w, 7)


def test_repr_tells_what_it_keeps(rng):
    w = rng.random(FILTERS, np.float32)
    plan = fc.plan_conv2d(w, IMAGES, method="direct")
    assert plan.nbytes > 2 * w.nbytes
    assert repr(plan).startswith("<ConvPlan n2c5h9w8_o6k3s1p0 NCHW float32 direct, ")
