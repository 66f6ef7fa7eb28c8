"""The dispatch table: every row leads to a kernel, auto always finds one, an explicit method never falls back."""

import inspect
import math
from dataclasses import replace

import numpy as np
import pytest
from cases import CASES
from problems import OPS

import fastconv as fc
from fastconv import dispatch
from fastconv.errors import InvalidArgument, Unsupported
from fastconv.spec import conv_problem

CPU = [(row, op) for row in dispatch.TABLE for op in row.ops if row.device == "cpu"]
CONVOLUTIONS = [(row, op) for row, op in CPU if op in OPS and row.by_auto]
PARAMETERS = {
    "conv": ["problem", "x", "w", "b", "y", "activation"],
    "conv_input_grad": ["problem", "dy", "w", "dx"],
    "conv_weight_grad": ["problem", "x", "dy", "dw"],
    "max_pool": ["problem", "x", "y", "indices"],
    "avg_pool": ["problem", "x", "y", "divisor"],
    "lp_pool": ["problem", "x", "y", "p"],
    "max_pool_grad": ["problem", "dy", "indices", "dx"],
    "avg_pool_grad": ["problem", "dy", "dx", "divisor"],
    "lp_pool_grad": ["problem", "dy", "x", "y", "dx", "p"],
    "unfold": ["problem", "x", "cols"],
    "fold": ["problem", "cols", "dx"],
}


def name_of(value):
    return f"{value.device}-{value.method}" if isinstance(value, dispatch.Row) else str(value)


def problem_of(case, op="conv", dtype="float32", prepared=False):
    problem = conv_problem(case.x_shape, case.w_shape, rank=case.rank, dtype=dtype, op=op, **case.options)
    return replace(problem, prepared=prepared)


@pytest.mark.parametrize(("row", "op"), [pair for pair in CPU if pair[1] in PARAMETERS], ids=name_of)
def test_row_leads_to_an_operator_with_the_contracts_parameters(row, op):
    operator = row.operator(op)
    own = {"unfold"}  # direct's, which im2col sets
    assert [name for name in inspect.signature(operator).parameters if name not in own] == PARAMETERS[op]
    assert operator.__doc__


def test_rows_are_unique():
    keys = [(op, row.method, row.device) for row in dispatch.TABLE for op in row.ops]
    assert len(set(keys)) == len(keys)
    assert {row.method for row in dispatch.TABLE} <= set(dispatch.METHODS) - {"auto"}
    assert {row.device for row in dispatch.TABLE} <= set(dispatch.DEVICES)


@pytest.mark.parametrize("device", dispatch.DEVICES)
@pytest.mark.parametrize("op", PARAMETERS)
def test_last_row_is_direct_and_serves_everything(op, device):
    last = dispatch.rows(op, device)[-1]
    assert last.method == "direct"
    if op in OPS:
        assert all(last.reason(problem_of(case, op)) is None for case in CASES)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_auto_finds_a_method_that_serves(case, op):
    for dtype in ("float32", "float64"):
        problem = problem_of(case, op, dtype)
        method = dispatch.choose_method(problem)
        row = dispatch.find(problem, "auto", "cpu")
        assert row.method == method
        assert row.reason(problem) is None
        assert dispatch.choose_method(problem) == method  # pure


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_explicit_method_serves_or_refuses(case, op):
    problem = problem_of(case, op)
    able = {row.method for row in dispatch.rows(op) if row.reason(problem) is None}
    for method in set(dispatch.METHODS) - {"auto"}:
        if method in able:
            assert dispatch.find(problem, method, "cpu").method == method
        else:
            with pytest.raises(Unsupported) as caught:
                dispatch.find(problem, method, "cpu")
            assert all(repr(name) in str(caught.value) for name in able)
            assert repr(method) in str(caught.value)
            assert str(problem) in str(caught.value)


def test_reasons_are_sentences():
    reasons = {row.reason(problem_of(case, op)) for row, op in CONVOLUTIONS for case in CASES} - {None}
    assert reasons
    assert all(len(reason) > 15 and not reason.endswith(".") for reason in reasons)


def test_unknown_method():
    with pytest.raises(InvalidArgument, match="method is 'magic'; expected one of auto, direct, im2col, winograd, fft"):
        dispatch.find(problem_of(CASES[0]), "magic", "cpu")


def test_large_filters_go_to_the_transform_and_small_ones_do_not():
    large = conv_problem((1, 1, 512, 512), (1, 1, 61, 61), rank=2)
    small = conv_problem((8, 64, 56, 56), (64, 64, 3, 3), rank=2)
    assert dispatch.choose_method(large) == "fft"
    assert dispatch.choose_method(small) != "fft"


def test_public_choice():
    assert fc.choose_method((1, 1, 512, 512), (1, 1, 61, 61)) == "fft"
    assert fc.choose_method((1, 3, 8, 8), (4, 3, 1, 1)) == "direct"
    assert fc.choose_method((1, 8, 8, 3), (1, 1, 3, 4), layout="NHWC") == "direct"
    with pytest.raises(InvalidArgument, match="3 input channels"):
        fc.choose_method((1, 4, 8, 8), (4, 3, 1, 1))


def test_explicit_method_is_the_one_that_runs(monkeypatch):
    """No other kernel is loaded."""
    ran = []
    operator = dispatch.Row.operator

    def spy(row, op):
        ran.append((op, row.method))
        return operator(row, op)

    monkeypatch.setattr(dispatch.Row, "operator", spy)
    x, w = np.ones((1, 2, 40, 40), np.float32), np.ones((3, 2, 9, 9), np.float32)
    for method in ("direct", "im2col", "fft"):
        fc.conv2d(x, w, method=method)
    assert ran == [("conv", "direct"), ("conv", "im2col"), ("conv", "fft")]


@pytest.mark.parametrize(("row", "op"), CONVOLUTIONS, ids=name_of)
def test_work_is_counted(row, op):
    for case in CASES:
        for prepared in {op == "conv", False}:
            problem = problem_of(case, op, prepared=prepared)
            if row.reason(problem) is None:
                work = dispatch.work(problem, row.method)
                assert all(math.isfinite(count) and count >= 0 for count in work), case.name
                assert dispatch.predict(problem, row.method) > 0


def test_more_work_takes_longer():
    for method in ("direct", "im2col", "fft"):
        small, large = (conv_problem((n, 16, 32, 32), (16, 16, 5, 5), rank=2) for n in (8, 800))
        assert dispatch.predict(large, method) > 2 * dispatch.predict(small, method)
        double = conv_problem((8, 16, 32, 32), (16, 16, 5, 5), rank=2, dtype="float64")
        assert dispatch.predict(double, method) > dispatch.predict(small, method)
