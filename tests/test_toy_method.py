"""A method from outside the package: one module, one row, and everything that takes a method takes it."""

import numba
import numpy as np
import pytest
import toy_method
from cases import CASES, TRANSPOSED
from problems import LAYOUTS, OPS, problem
from test_transposed import call, oracle
from tolerances import assert_close

import fastconv as fc
from fastconv import dispatch
from fastconv.autograd import Tensor
from fastconv.autograd import functional as F
from fastconv.errors import Unsupported

ROW = dispatch.Row("toy", "cpu", "toy_method", dispatch.CONVOLUTIONS)
SERVED = [case for case in CASES if np.prod(case.kernel) <= toy_method.MOST_TAPS]
REFUSED = [case for case in CASES if case not in SERVED]
AS = "direct"  # the tolerance it keeps: sums in float64, rounded once, are closer than those of direct


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "TABLE", (ROW, *dispatch.TABLE))
        patch.setattr(dispatch, "METHODS", (*dispatch.METHODS, ROW.method))
        dispatch.forget()
        yield
    dispatch.forget()


@pytest.mark.parametrize("case", SERVED, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_the_case_table(op, case):
    whole, data = problem(case, whole=True), problem(case)
    for channels_last in (False, True):
        y = whole.solve(op, channels_last, "float32", method="toy")
        np.testing.assert_array_equal(y, whole.expected(op))
        for dtype in ("float32", "float64"):
            y = data.solve(op, channels_last, dtype, method="toy")
            assert_close(y, data.expected(op), AS, data.terms(op))


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_it_does_not_serve(case):
    """Its own reason reaches the caller, and the others still serve."""
    assert REFUSED
    for op in OPS:
        with pytest.raises(
            Unsupported, match=r"the toy serves filters of up to 200 taps; .*methods that can: .*direct"
        ):
            problem(case).solve(op, False, "float32", method="toy")
        problem(case).solve(op, False, "float32", method="direct")


@pytest.mark.parametrize("case", [c for c in TRANSPOSED if np.prod(c.kernel) <= toy_method.MOST_TAPS], ids=str)
def test_transposed(case, rng):
    outputs = case.w_shape[1] * case.plain["groups"]
    x, w, b = rng.standard_normal(case.x_shape), rng.standard_normal(case.w_shape), rng.standard_normal(outputs)
    terms = case.w_shape[0] * int(np.prod(case.kernel)) // case.plain["groups"] + 1
    for channels_last in (False, True):
        y = call(case, x, w, b, channels_last, "float64", method="toy", activation="leaky_relu")
        assert_close(y, oracle(case, x, w, b, "leaky_relu"), AS, terms)


@pytest.mark.parametrize("case", SERVED[::5], ids=str)
def test_plan(case, rng):
    """Weights are prepared once; the same bits as a call's."""
    x, w, b = (rng.standard_normal(s).astype("float32") for s in (case.x_shape, case.w_shape, case.w_shape[:1]))
    options = {**case.options, "method": "toy", "activation": "tanh", "layout": LAYOUTS[case.rank][False]}
    plan = getattr(fc, f"plan_conv{case.rank}d")(w, x.shape, b, **options)
    assert plan.method == "toy"
    assert plan.nbytes == w.nbytes + b.nbytes + 2 * w.nbytes  # as given, and in float64
    np.testing.assert_array_equal(plan(x), getattr(fc, f"conv{case.rank}d")(x, w, b, **options))


def test_complex_numbers_and_half_precision(rng):
    x, w = (rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in ((1, 2, 5, 6), (3, 2, 3, 3)))
    np.testing.assert_allclose(fc.conv2d(x, w, method="toy"), fc.conv2d(x, w, method="direct"), rtol=1e-12)
    x, w = x.real.astype("float16"), w.real.astype("float16")
    y = fc.conv2d(x, w, method="toy")
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, fc.conv2d(x, w, method="direct"), rtol=2e-3)


def test_an_activation_of_the_users(rng):
    x, w = rng.standard_normal((1, 2, 5, 6)), rng.standard_normal((3, 2, 3, 3))

    @numba.njit
    def half(value):
        return value / 2

    np.testing.assert_array_equal(fc.conv2d(x, w, method="toy", activation=half), fc.conv2d(x, w, method="toy") / 2)


def test_the_tape_takes_it(rng):
    data = [rng.standard_normal(s) for s in ((1, 2, 5, 6), (3, 2, 3, 3))]
    gradients = {}
    for method in ("toy", "direct"):
        tensors = [Tensor(a, requires_grad=True) for a in data]
        F.conv2d(*tensors, padding=1, method=method).sum().backward()
        gradients[method] = [t.grad for t in tensors]
    for mine, other in zip(gradients["toy"], gradients["direct"], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)


def test_explain_weighs_it():
    """With its reason, its prediction, its time and its memory, like every other."""
    report = fc.explain((1, 3, 9, 9), (4, 3, 3, 3), seconds=0.01)
    (mine,) = (candidate for candidate in report.candidates if candidate.method == "toy")
    assert mine.reason is None
    assert mine.predicted == pytest.approx(1e-9 * (50_000 + 2 * 4 * 7 * 7 * 3 * 9))
    assert mine.measured > 0
    assert mine.extra == 0
    assert "toy" in str(report)
    refused = fc.explain((1, 1, 40, 40), (1, 1, 15, 15), seconds=0)
    assert "the toy serves filters of up to 200 taps; this one has 225" in str(refused)


def test_auto_takes_it_where_it_is_fastest(monkeypatch, rng):
    shapes = (1, 3, 40, 40), (4, 3, 3, 3)
    assert fc.choose_method(*shapes) != "toy"
    monkeypatch.setattr(toy_method, "RATES", dict.fromkeys(toy_method.RATES, toy_method.Rate(0, 0, 0, 0, 0, 0)))
    dispatch.forget()
    assert fc.choose_method(*shapes) == "toy"
    ran = []
    monkeypatch.setattr(toy_method, "conv", lambda *arguments, **options: ran.append(arguments[0]))
    dispatch.forget()
    fc.conv2d(*map(rng.standard_normal, shapes))
    assert [str(made) for made in ran] == ["n1c3h40w40_o4k3s1p0"]
