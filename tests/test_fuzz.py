"""Garbage in, one clear error out: whatever the arguments, a function works or raises fastconv's own exceptions."""

import secrets

import numpy as np
import pytest
import wrong_calls
from hypothesis import given, settings
from hypothesis import strategies as st

import fastconv as fc
from fastconv.errors import DeviceMissing, InvalidArgument, Unsupported

small = st.integers(-2, 9)
odd_numbers = st.one_of(
    small,
    st.sampled_from(
        [10**30, -(10**30), 2**31, 2**63, np.int8(3), np.uint64(2), np.float64(1.0), 1.5, float("nan"), True, 1j]
    ),
    st.none(),
    st.text(max_size=5),
    st.binary(max_size=3),
)
garbage = st.recursive(
    odd_numbers,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
    ),
    max_leaves=8,
)
words = st.sampled_from(
    [
        "same",
        "valid",
        "zeros",
        "edge",
        "reflect",
        "wrap",
        "NCHW",
        "NHWC",
        "NCW",
        "auto",
        "direct",
        "fft",
        "im2col",
        "relu",
        "tanh",
    ]
)
shapes = st.lists(st.integers(0, 6), min_size=0, max_size=6)
dtypes = st.sampled_from(["f4", "f8", "f2", ">f4", "i4", "u1", "?", "c8", "O", "U3", "M8[s]", "V4"])


@st.composite
def arrays(draw):
    """Arrays of all kinds of shapes and dtypes, and things that are no arrays."""
    if draw(st.integers(0, 5)) == 0:
        return draw(garbage)
    return np.zeros(tuple(draw(shapes)), draw(dtypes))


def array_indices_fit(value):
    """Leave out what is legal and only too large to allocate."""
    return not (isinstance(value, int) and abs(value) > 10**6)


def bounded(value):
    """True where no number in `value` is legal padding of more than a million pixels."""
    if isinstance(value, (list, tuple)):
        return all(map(bounded, value))
    return array_indices_fit(value)


options = st.fixed_dictionaries(
    {},
    optional={
        "stride": garbage,
        "padding": st.one_of(garbage, words).filter(bounded),
        "dilation": garbage,
        "groups": odd_numbers,
        "layout": st.one_of(garbage, words),
        "padding_mode": st.one_of(garbage, words),
        "activation": st.one_of(garbage, words),
        "method": st.one_of(garbage, words),
        "out": arrays(),
        "device": st.one_of(st.sampled_from(["cpu"]), garbage),
    },
)


def only_our_errors(call):
    try:
        y = call()
    except (InvalidArgument, Unsupported, DeviceMissing) as error:
        assert 15 < len(str(error)) < 600
    else:
        assert isinstance(y, np.ndarray)


@settings(max_examples=400)
@given(arrays(), arrays(), st.one_of(st.none(), arrays()), options)
def test_conv2d_on_garbage(x, w, b, options):
    only_our_errors(lambda: fc.conv2d(x, w, b, **options))


@settings(max_examples=400)
@given(options)
def test_conv2d_on_sound_arrays_and_garbage_options(options):
    x, w = np.ones((1, 2, 6, 5), np.float32), np.ones((2, 2, 2, 3), np.float32)
    only_our_errors(lambda: fc.conv2d(x, w, **options))


def nearly(*most):
    """Shapes that often fit together."""
    return st.tuples(*(st.integers(0, n) for n in most))


@settings(max_examples=300)
@given(nearly(2, 3, 6, 6), nearly(3, 3, 4, 4), small, small, small, st.integers(0, 3))
def test_conv2d_on_near_misses(x_shape, w_shape, stride, padding, dilation, groups):
    x, w = np.ones(x_shape, np.float32), np.ones(w_shape, np.float32)
    only_our_errors(lambda: fc.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups))
    only_our_errors(lambda: fc.conv_transpose2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups))


@settings(max_examples=200)
@given(nearly(2, 3, 6), nearly(3, 3, 4), st.one_of(nearly(2, 3, 6), garbage), options)
def test_gradients_on_garbage(first, second, shape, options):
    a, b = np.ones(first, np.float32), np.ones(second, np.float32)
    options = {name: value for name, value in options.items() if name not in ("activation", "out")}
    only_our_errors(lambda: fc.conv1d_input_grad(a, b, shape, **options))
    only_our_errors(lambda: fc.conv1d_weight_grad(a, b, shape, **options))


@pytest.mark.parametrize("op", ["conv1d_input_grad", "conv1d_weight_grad"])
def test_gradients_check_that_shapes_agree(op):
    """dy must have the shape that the forward pass gives."""
    x, w, dy = np.ones((2, 3, 9)), np.ones((4, 3, 3)), np.ones((2, 4, 6))
    arguments = (dy, w, x.shape) if op == "conv1d_input_grad" else (x, dy, w.shape)
    with pytest.raises(InvalidArgument, match=r"dy .*\(2, 4, 6\).*\(2, 4, 7\)"):
        getattr(fc, op)(*arguments)


def test_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="strides"):
        fc.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), strides=2)


def test_options_are_keywords_only():
    with pytest.raises(TypeError):
        fc.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), None, 2)


# Every public function, whatever it is given


def test_every_parameter_has_right_values():
    """A new function, or a new parameter, says in wrong_calls what is right for it."""
    for name, function in wrong_calls.functions().items():
        for parameter in wrong_calls.parameters(function):
            assert wrong_calls.right(parameter, wrong_calls.rank_of(name)), f"{name}({parameter}=)"


def test_wrong_calls_reach_every_function():
    """What `fastconv` offers beyond classes, modules and constants."""
    found = wrong_calls.functions()
    offered = {name for name in dir(fc) if callable(getattr(fc, name)) and not isinstance(getattr(fc, name), type)}
    assert offered <= {*found, *wrong_calls.APART}
    assert {f"measure.{name}" for name in ("parse_problem", "compare", "suite")} <= set(found)
    assert {f"autograd.functional.{name}" for name in fc.autograd.functional.__all__} <= set(found)


@pytest.mark.filterwarnings("ignore")
def test_functions_refuse_random_arguments_in_words(monkeypatch):
    """Some calls of each function: none ends in another error than fastconv's, changes its input, or hangs."""
    calls = wrong_calls.Calls(seed=0)
    with wrong_calls.small_machine(monkeypatch):
        for name, function in calls.functions:
            for _ in range(8):
                calls.judge(name, function, calls.arguments(name, function))
    assert calls.refused > 500 and calls.served > 50


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_functions_refuse_ten_thousand_wrong_calls_in_words(monkeypatch):
    """With a seed that is another each time; a failure says which."""
    seed = secrets.randbits(32)
    calls = wrong_calls.Calls(seed)
    with wrong_calls.small_machine(monkeypatch):
        try:
            while calls.refused < 10_000:
                calls.one()
        except BaseException as error:
            error.add_note(f"wrong_calls.Calls({seed}), after {calls.refused} refused and {calls.served} served")
            raise
    assert calls.served > 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_odd_value_at_every_parameter(monkeypatch):
    """One value after the other, all else right."""
    calls = wrong_calls.Calls(seed=0)
    with wrong_calls.small_machine(monkeypatch):
        for name, function in calls.functions:
            for given in calls.one_by_one(name, function):
                calls.judge(name, function, given)
    assert calls.refused > 50_000
