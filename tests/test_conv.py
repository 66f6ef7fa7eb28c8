"""Every convolution kernel of the dispatch table on every case, against the oracle."""

import numpy as np
import pytest
from cases import CASES
from problems import LAYOUTS, OPS, function, problem, to_first, to_last
from tolerances import EXACT, assert_close

import fastconv as fc
from fastconv import dispatch
from fastconv.errors import Unsupported
from fastconv.spec import conv_spec

ROWS = [row for row in dispatch.TABLE if row.op in OPS and row.device == "cpu"]


def spec_of(case, channels_last, dtype):
    """The problem as the library sees it."""
    x, w = case.x_shape, case.w_shape
    if channels_last:
        x, w = (x[0], *x[2:], x[1]), (*w[2:], w[1], w[0])
    return conv_spec(x, w, rank=case.rank, layout=LAYOUTS[case.rank][channels_last], dtype=dtype, **case.options)


def label(row):
    return f"{row.op}-{row.method}"


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("row", ROWS, ids=label)
def test_kernel(row, channels_last, dtype, case):
    """Through the public function, by an explicit method: exact on whole numbers, within the table on others."""
    reason = row.supports(spec_of(case, channels_last, dtype))
    if reason is not None:
        with pytest.raises(Unsupported) as caught:
            problem(case).solve(row.op, channels_last, dtype, method=row.method)
        assert reason in str(caught.value)
        return
    if row.method in EXACT:
        whole = problem(case, whole=True)
        y = whole.solve(row.op, channels_last, dtype, method=row.method)
        np.testing.assert_array_equal(y, whole.expected(row.op))
    data = problem(case)
    y = data.solve(row.op, channels_last, dtype, method=row.method)
    assert_close(y, data.expected(row.op), row.method, data.terms(row.op))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("row", ROWS, ids=label)
def test_kernel_writes_every_element(row, channels_last, case):
    """The kernel itself, called with arrays and plain integers, on an output full of NaN."""
    spec = spec_of(case, channels_last, "float32")
    if row.supports(spec) is not None:
        pytest.skip("not served")
    data = problem(case)
    first, second = (a.astype(np.float32) for a in data.arrays[row.op])
    expected = data.expected(row.op)
    if channels_last:
        first, second = to_last(first), to_last(second, is_weight=row.op != "conv_weight_grad")
    result = np.full_like(
        to_last(expected, row.op == "conv_weight_grad") if channels_last else expected, np.nan, np.float32
    )
    operands = [
        deepen(a, case.rank, channels_last, weight)
        for a, weight in ((first, False), (second, row.op != "conv_weight_grad"))
    ]
    y = deepen(result, case.rank, channels_last, row.op == "conv_weight_grad")
    options = {
        name: getattr(spec, name)
        for name in ("stride", "dilation", "padding", "padding_mode", "groups", "channels_last")
    }
    if row.op == "conv":
        dispatch.load(row)(*operands, None, y, **options, activation=None)
    else:
        dispatch.load(row)(*operands, y, **options)
    result = y.reshape(result.shape)
    if channels_last:
        result = to_first(result, row.op == "conv_weight_grad")
    assert_close(result, expected, row.method, data.terms(row.op))


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
