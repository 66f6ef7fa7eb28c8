"""Every convolution kernel of the dispatch table on every case, against the oracle."""

import numpy as np
import pytest
from cases import CASES
from problems import LAYOUTS, OPS, function, problem, to_first, to_last
from tolerances import EXACT, assert_close

import fastconv as fc
from fastconv import dispatch
from fastconv.errors import Unsupported
from fastconv.spec import conv_problem

ROWS = [(row, op) for row in dispatch.TABLE for op in row.ops if op in OPS and row.device == "cpu"]


def problem_of(case, op, channels_last, dtype):
    """The problem as the library sees it."""
    x, w = case.x_shape, case.w_shape
    if channels_last:
        x, w = (x[0], *x[2:], x[1]), (*w[2:], w[1], w[0])
    layout = LAYOUTS[case.rank][channels_last]
    return conv_problem(x, w, rank=case.rank, op=op, layout=layout, dtype=dtype, **case.options)


def label(value):
    return value if isinstance(value, str) else value.method


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(("row", "op"), ROWS, ids=label)
def test_kernel(row, op, channels_last, dtype, case):
    """Through the public function, by an explicit method: exact on whole numbers, within the table on others."""
    reason = row.reason(problem_of(case, op, channels_last, dtype))
    if reason is not None:
        with pytest.raises(Unsupported) as caught:
            problem(case).solve(op, channels_last, dtype, method=row.method)
        assert reason in str(caught.value)
        return
    if row.method in EXACT:
        whole = problem(case, whole=True)
        y = whole.solve(op, channels_last, dtype, method=row.method)
        np.testing.assert_array_equal(y, whole.expected(op))
    data = problem(case)
    y = data.solve(op, channels_last, dtype, method=row.method)
    assert_close(y, data.expected(op), row.method, data.terms(op))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(("row", "op"), ROWS, ids=label)
def test_kernel_writes_every_element(row, op, channels_last, case):
    """The kernel itself, called with the problem and arrays, on an output full of NaN."""
    whole = problem_of(case, op, channels_last, "float32")
    if row.reason(whole) is not None:
        pytest.skip("not served")
    data = problem(case)
    first, second = (a.astype(np.float32) for a in data.arrays[op])
    expected = data.expected(op)
    if channels_last:
        first, second = to_last(first), to_last(second, is_weight=op != "conv_weight_grad")
    result = np.full_like(
        to_last(expected, op == "conv_weight_grad") if channels_last else expected, np.nan, np.float32
    )
    operands = [
        deepen(a, case.rank, channels_last, weight)
        for a, weight in ((first, False), (second, op != "conv_weight_grad"))
    ]
    y = deepen(result, case.rank, channels_last, op == "conv_weight_grad")
    if op == "conv":
        row.operator(op)(whole, *operands, None, y)
    else:
        row.operator(op)(whole, *operands, y)
    result = y.reshape(result.shape)
    if channels_last:
        result = to_first(result, op == "conv_weight_grad")
    assert_close(result, expected, row.method, data.terms(op))


def deepen(a, rank, channels_last, is_weight):
    """Three spatial axes instead of `rank`."""
    lead = 0 if channels_last and is_weight else 1 if channels_last else 2
    shape = a.shape[:lead] + (1,) * (3 - rank) + a.shape[lead:]
    return np.ascontiguousarray(a).reshape(shape)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_auto(op, case):
    """Whatever is chosen is right."""
    data = problem(case)
    y = data.solve(op, False, "float32")
    assert_close(y, data.expected(op), "auto", data.terms(op))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("op", OPS)
def test_unsupported_method_names_those_that_can(op, rank):
    """An explicit method never falls back."""
    x, w = np.ones((1, 2) + (4,) * rank), np.ones((3, 2) + (1,) * rank)
    y = np.ones((1, 3) + (4,) * rank)
    arguments = {"conv": (x, w), "conv_input_grad": (y, w, x.shape), "conv_weight_grad": (x, y, w.shape)}[op]
    with pytest.raises(Unsupported, match=r"method 'fft' cannot serve .*methods that can: .*'direct'") as caught:
        function(op, rank)(*arguments, method="fft")
    assert isinstance(caught.value, NotImplementedError)
    assert "n1c2" in str(caught.value)


def test_unknown_method():
    with pytest.raises(fc.errors.InvalidArgument, match="method is 'magic'; expected one of auto, direct"):
        fc.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), method="magic")
