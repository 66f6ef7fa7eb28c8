"""The dispatch table: every row leads to a kernel, auto always finds one, an explicit method never falls back."""

import inspect
import math

import numpy as np
import pytest
from cases import CASES
from problems import OPS

import fastconv as fc
from fastconv import dispatch
from fastconv.errors import InvalidArgument, Unsupported
from fastconv.spec import conv_spec

CPU = [row for row in dispatch.TABLE if row.device == "cpu"]
GEOMETRY = ["stride", "dilation", "padding", "padding_mode", "groups", "channels_last"]
PARAMETERS = {
    "conv": ["x", "w", "b", "y", *GEOMETRY, "activation", "prepared"],
    "conv_input_grad": ["dy", "w", "dx", *GEOMETRY],
    "conv_weight_grad": ["x", "dy", "dw", *GEOMETRY],
    "max_pool": ["x", "y", "indices", "windows", "step", "channels_last"],
    "avg_pool": ["x", "y", "windows", "step", "channels_last", "divisor"],
    "lp_pool": ["x", "y", "windows", "step", "channels_last", "p"],
    "max_pool_grad": ["dy", "indices", "dx", "channels_last"],
    "avg_pool_grad": ["dy", "dx", "windows", "step", "channels_last", "divisor"],
    "lp_pool_grad": ["dy", "x", "y", "dx", "windows", "step", "channels_last", "p"],
}


def spec_of(case, dtype="float32"):
    return conv_spec(case.x_shape, case.w_shape, rank=case.rank, dtype=dtype, **case.options)


@pytest.mark.parametrize("row", CPU, ids=lambda row: f"{row.op}-{row.method}")
def test_row_leads_to_a_kernel_with_the_contracts_parameters(row):
    """Either all of them by name, or the arrays by name and the rest as one ``**problem``."""
    kernel = dispatch.load(row)
    parameters = inspect.signature(kernel).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    wanted = PARAMETERS[row.op]
    assert names[: len(wanted)] == wanted[: len(names)]
    assert len(names) >= len(wanted) or any(p.kind is p.VAR_KEYWORD for p in parameters)
    assert all(p.default is not p.empty for p in list(parameters)[len(wanted) :])  # a method's own choices
    assert kernel.__doc__


def test_rows_are_unique():
    keys = [(row.op, row.method, row.device) for row in dispatch.TABLE]
    assert len(set(keys)) == len(keys)
    assert {row.method for row in dispatch.TABLE} <= set(dispatch.METHODS) - {"auto"}
    assert {row.device for row in dispatch.TABLE} <= set(dispatch.DEVICES)


@pytest.mark.parametrize("device", dispatch.DEVICES)
@pytest.mark.parametrize("op", PARAMETERS)
def test_last_row_is_direct_and_serves_everything(op, device):
    last = dispatch.rows(op, device)[-1]
    assert last.method == "direct"
    if op in OPS:
        assert all(last.supports(spec_of(case)) is None for case in CASES)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_auto_finds_a_method_that_serves(case, op):
    for dtype in ("float32", "float64"):
        spec = spec_of(case, dtype)
        method = dispatch.choose_method(op, spec)
        row = dispatch.find(op, spec, "auto", "cpu")
        assert row.method == method
        assert row.supports(spec) is None
        assert dispatch.choose_method(op, spec) == method  # pure


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_explicit_method_serves_or_refuses(case, op):
    spec = spec_of(case)
    able = {row.method for row in dispatch.rows(op) if row.supports(spec) is None}
    for method in set(dispatch.METHODS) - {"auto"}:
        if method in able:
            assert dispatch.find(op, spec, method, "cpu").method == method
        else:
            with pytest.raises(Unsupported) as caught:
                dispatch.find(op, spec, method, "cpu")
            assert all(repr(name) in str(caught.value) for name in able)
            assert repr(method) in str(caught.value)
            assert str(spec) in str(caught.value)


def test_reasons_are_sentences():
    reasons = {row.supports(spec_of(case)) for row in CPU if row.op in OPS for case in CASES} - {None}
    assert reasons
    assert all(len(reason) > 15 and not reason.endswith(".") for reason in reasons)


def test_unknown_method():
    with pytest.raises(InvalidArgument, match="method is 'magic'; expected one of auto, direct, im2col, winograd, fft"):
        dispatch.find("conv", spec_of(CASES[0]), "magic", "cpu")


def test_large_filters_go_to_the_transform_and_small_ones_do_not():
    large = conv_spec((1, 1, 512, 512), (1, 1, 61, 61), rank=2)
    small = conv_spec((8, 64, 56, 56), (64, 64, 3, 3), rank=2)
    assert dispatch.choose_method("conv", large) == "fft"
    assert dispatch.choose_method("conv", small) != "fft"


def test_public_choice():
    assert fc.choose_method((1, 1, 512, 512), (1, 1, 61, 61)) == "fft"
    assert fc.choose_method((1, 3, 8, 8), (4, 3, 1, 1)) == "direct"
    assert fc.choose_method((1, 8, 8, 3), (1, 1, 3, 4), layout="NHWC") == "direct"
    with pytest.raises(InvalidArgument, match="3 input channels"):
        fc.choose_method((1, 4, 8, 8), (4, 3, 1, 1))


def test_explicit_method_is_the_one_that_runs(monkeypatch):
    """No other kernel is loaded."""
    ran = []
    load = dispatch.load

    def spy(row):
        ran.append((row.op, row.method))
        return load(row)

    monkeypatch.setattr(dispatch, "load", spy)
    x, w = np.ones((1, 2, 40, 40), np.float32), np.ones((3, 2, 9, 9), np.float32)
    for method in ("direct", "im2col", "fft"):
        fc.conv2d(x, w, method=method)
    assert ran == [("conv", "direct"), ("conv", "im2col"), ("conv", "fft")]


@pytest.mark.parametrize("row", [row for row in CPU if row.op in OPS], ids=lambda row: f"{row.op}-{row.method}")
def test_work_is_counted(row):
    for case in CASES:
        for prepared in {row.op == "conv", False}:
            spec = spec_of(case)
            if row.supports(spec) is None:
                work = dispatch.work(row.op, spec, row.method, prepared=prepared)
                assert all(math.isfinite(count) and count >= 0 for count in work), case.name
                assert dispatch.predict(row.op, spec, row.method, prepared=prepared) > 0


def test_more_work_takes_longer():
    for method in ("direct", "im2col", "fft"):
        small, large = (conv_spec((n, 16, 32, 32), (16, 16, 5, 5), rank=2) for n in (8, 800))
        assert dispatch.predict("conv", large, method) > 2 * dispatch.predict("conv", small, method)
        double = conv_spec((8, 16, 32, 32), (16, 16, 5, 5), rank=2, dtype="float64")
        assert dispatch.predict("conv", double, method) > dispatch.predict("conv", small, method)
