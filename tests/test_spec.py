"""Specifications: sizes and tables against counting, every error message with the values it was given."""

import re
from itertools import product

import naive
import numpy as np
import pytest
from cases import CASES, TRANSPOSED
from hypothesis import given
from hypothesis import strategies as st

from fastconv.borders import Border, border_index, border_table, fold_border
from fastconv.errors import InvalidArgument
from fastconv.spec import adaptive_problem, conv_problem, pool_problem, transposed_problem


def spec_of(case, channels_last=False):
    x_shape, w_shape = case.x_shape, case.w_shape
    if channels_last:
        x_shape = (x_shape[0], *x_shape[2:], x_shape[1])
        w_shape = (*w_shape[2:], w_shape[1], w_shape[0])
    layout = {1: "NWC", 2: "NHWC", 3: "NDHWC"}[case.rank] if channels_last else None
    return conv_problem(x_shape, w_shape, rank=case.rank, layout=layout, **case.options)


# Sizes


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_convolution_sizes(case, channels_last):
    spec = spec_of(case, channels_last)
    lead = 3 - case.rank
    assert spec.out == (1,) * lead + case.out
    assert spec.kernel == (1,) * lead + case.kernel
    assert spec.padding == ((0, 0),) * lead + case.plain["padding"]
    assert spec.stride[lead:] == case.plain["stride"]
    assert spec.groups == case.plain["groups"]
    shapes = [case.x_shape, case.w_shape, case.y_shape]
    if channels_last:
        shapes = [
            naive.to_last(np.empty(shapes[0])),
            naive.weights_to_last(np.empty(shapes[1])),
            naive.to_last(np.empty(shapes[2])),
        ]
        shapes = [a.shape for a in shapes]
    assert [spec.x_shape, spec.w_shape, spec.y_shape] == shapes
    sums = np.prod(case.y_shape) * np.prod(case.w_shape[1:])
    assert spec.flops == 2 * sums


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_transposed_sizes(case):
    spec = transposed_problem(case.x_shape, case.w_shape, rank=case.rank, **case.options)
    plain = case.plain
    extra = case._axes(case.options.get("output_padding", 0))
    groups = plain["groups"]
    y = naive.conv_transpose(
        np.zeros(case.x_shape),
        np.zeros(case.w_shape),
        **{k: plain[k] for k in ("stride", "dilation", "padding", "groups")},
        output_padding=extra,
    )
    assert spec.x_shape == y.shape
    assert spec.C == y.shape[1] == case.w_shape[1] * groups


@given(n=st.integers(1, 40), k=st.integers(1, 9), s=st.integers(1, 7), d=st.integers(1, 4))
def test_same_padding_is_keras_rule(n, k, s, d):
    spec = conv_problem((1, 1, n), (1, 1, k), rank=1, padding="same", stride=s, dilation=d)
    assert spec.out[2] == -(-n // s)
    before, after = spec.padding[2]
    assert before + after == max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
    assert after - before in (0, 1)


@given(n=st.integers(1, 20), k=st.integers(1, 9), s=st.integers(1, 5), d=st.integers(1, 3))
def test_same_transposed_multiplies_the_size_by_the_stride(n, k, s, d):
    spec = transposed_problem((1, 1, n), (1, 1, k), rank=1, padding="same", stride=s, dilation=d)
    assert spec.size[2] == n * s
    assert spec.out[2] == n


@pytest.mark.parametrize(
    "shapes, options, text",
    [
        (((8, 16, 32, 32), (32, 16, 3, 3)), {"padding": 1}, "n8c16h32w32_o32k3s1p1"),
        (((1, 3, 9, 8), (4, 3, 3, 2)), {"stride": (2, 1)}, "n1c3h9w8_o4k3x2s2x1p0"),
        (((1, 4, 9), (6, 2, 3)), {"groups": 2, "dilation": 2}, "n1c4w9_o6k3s1p0d2g2"),
        (((1, 1, 9, 9, 9), (1, 1, 3, 3, 3)), {"padding": "same"}, "n1c1d9h9w9_o1k3s1p1"),
        (((1, 1, 9), (1, 1, 3)), {"padding": ((2, 0),)}, "n1c1w9_o1k3s1p2-0"),
        (((1, 1, 9), (1, 1, 3)), {"padding": 1, "padding_mode": "circular"}, "n1c1w9_o1k3s1p1_wrap"),
    ],
)
def test_problem_string(shapes, options, text):
    assert str(conv_problem(*shapes, rank=len(shapes[0]) - 2, **options)) == text


def test_different_problems_have_different_strings():
    texts = {}
    for case in CASES:
        texts.setdefault(str(spec_of(case)), set()).add(spec_of(case))
    assert not [same for same in texts.values() if len(same) > 1]


def test_specifications_are_values():
    first, second = (conv_problem((1, 2, 5), (3, 2, 3), rank=1) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(AttributeError):
        first.N = 3


def test_whole_numbers_of_any_kind():
    expected = conv_problem((1, 4, 9, 9), (6, 2, 3, 3), rank=2, stride=2, padding=(1, 2), dilation=2, groups=2)
    given = conv_problem(
        np.array([1, 4, 9, 9]),
        [np.int32(6), 2, 3, np.uint8(3)],
        rank=2,
        stride=np.int64(2),
        padding=np.array([1, 2]),
        dilation=[2, 2],
        groups=np.uint16(2),
    )
    assert given == expected


@pytest.mark.parametrize("alias, name", [("replicate", "edge"), ("circular", "wrap"), ("edge", "edge")])
def test_padding_mode_aliases(alias, name):
    assert conv_problem((1, 1, 9), (1, 1, 3), rank=1, padding_mode=alias).padding_mode == name


# Pools


def pool_windows(n, k, s, d, before, after, count):
    """For each window along an axis: the real elements and the taps inside the padded input, counted one by one."""
    for i in range(count):
        taps = [i * s - before + t * d for t in range(k)]
        yield [t for t in taps if 0 <= t < n], [t for t in taps if t < n + after]


@st.composite
def pools(draw):
    k, d, s = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 8))
    extent = d * (k - 1) + 1
    before, after = draw(st.integers(0, extent - 1)), draw(st.integers(0, extent - 1))
    n = draw(st.integers(max(1, extent - before - after), 30))
    return n, k, s, d, before, after


@given(pool=pools(), ceil_mode=st.booleans())
def test_pool_windows_against_counting(pool, ceil_mode):
    n, k, s, d, before, after = pool
    options = {"stride": s, "dilation": d, "padding": ((before, after),), "ceil_mode": ceil_mode}
    spec, counting = (pool_problem((1, 1, n), k, rank=1, count_include_pad=flag, **options) for flag in (False, True))
    extent = d * (k - 1) + 1
    starts = [i for i in range(0, n + before + after, s) if i + extent <= n + before + after]
    if ceil_mode and starts[-1] + extent < n + before + after and starts[-1] + s < n + before:
        starts.append(starts[-1] + s)
    assert spec.out == (1, 1, len(starts))
    inside, padded = spec.axes[2].table(), counting.axes[2].table()
    assert inside.dtype == padded.dtype == np.int64
    assert inside.shape == (len(starts), 3)
    for i, (real, counted) in enumerate(pool_windows(n, k, s, d, before, after, len(starts))):
        assert inside[i, 1] == len(real) == inside[i, 2] == padded[i, 1]
        assert padded[i, 2] == len(counted)
        if real:
            assert inside[i, 0] == padded[i, 0] == real[0]
            assert [inside[i, 0] + t * d for t in range(inside[i, 1])] == real


@given(n=st.integers(1, 30), o=st.integers(1, 12))
def test_adaptive_windows_cover_their_share(n, o):
    spec = adaptive_problem((1, 1, n), o, rank=1)
    table = spec.axes[2].table()
    for i, (first, count, divisor) in enumerate(table):
        assert first == i * n // o
        assert first + count == -(-(i + 1) * n // o)
        assert count == divisor >= 1


def test_pool_defaults_and_shapes():
    spec = pool_problem((2, 9, 8, 3), 3, rank=2, layout="NHWC")
    assert spec.stride == (1, 3, 3)
    assert spec.x_shape == (2, 9, 8, 3)
    assert spec.y_shape == (2, 3, 2, 3)
    assert adaptive_problem((2, 3, 9, 8), (None, 2), rank=2).out == (1, 9, 2)
    assert adaptive_problem((2, 3, 9, 8), None, rank=2).out == (1, 9, 8)


# Borders


@pytest.mark.parametrize("mode", naive.MODES)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_border_index_is_numpys_pad(mode, n):
    values = np.arange(1.0, n + 1)
    for before, after in product((0, 1, 2, 5, 9), repeat=2):
        index = border_index(n, before, after, mode)
        padded = np.where(index < 0, 0, values[index])
        np.testing.assert_array_equal(padded, naive.pad(values[None, None], ((before, after),), mode)[0, 0])


@given(
    n=st.integers(1, 9), start=st.integers(-20, 20), length=st.integers(0, 30), mode=st.sampled_from(naive.MODES),
    first=st.integers(0, 12), step=st.integers(1, 4),
)  # fmt: skip
def test_parts_of_a_border_are_parts_of_its_table(n, start, length, mode, first, step):
    border = Border(n, start, length, mode=mode)
    table = border_table(border)
    assert len(table) == length
    part, thinned = border.part(first, max(0, length - first)), border.every(first, step)
    np.testing.assert_array_equal(border_table(part), table[first:])
    np.testing.assert_array_equal(border_table(thinned), table[first::step])
    np.testing.assert_array_equal(border_table(thinned.every(1, 2)), table[first::step][1::2])
    for rule in (border, part, thinned):
        places = border_table(rule)
        assert rule.fills == bool((places < 0).any())
        if rule.is_inside:
            np.testing.assert_array_equal(places, rule.start + rule.step * np.arange(rule.length))
        if mode == "zeros":
            assert rule.is_inside == (len(places) > 0 and bool((places >= 0).all()))
            assert rule.is_identity == (len(places) > 0 and places.tolist() == list(range(len(places))))


def test_border_index_cannot_be_spoilt():
    with pytest.raises(ValueError, match="read-only"):
        border_index(3, 1, 1, "edge")[0] = 5


@pytest.mark.parametrize("mode", naive.MODES)
def test_fold_border_is_the_adjoint_of_padding(mode):
    padding = ((2, 3), (0, 1), (5, 0))
    dxp = np.random.default_rng(0).integers(-9, 9, (2, 3, 2 + 4 + 3, 3 + 1, 5 + 2)).astype(float)
    dx = np.full((2, 3, 4, 3, 2), np.nan)
    expected = naive.unpad_sum(dxp.copy(), (4, 3, 2), padding, mode)
    fold_border(dxp, dx, padding, mode, first_axis=2)
    np.testing.assert_array_equal(dx, expected)


# Errors: what was given, what was expected, what to do

X, W = (8, 4, 28, 28), (16, 4, 3, 3)


def _conv(x=X, w=W, b=None, rank=2, **options):
    return lambda: conv_problem(x, w, b, rank=rank, **options)


def _transposed(x=(1, 4, 5, 5), w=(4, 6, 3, 3), b=None, rank=2, **options):
    return lambda: transposed_problem(x, w, b, rank=rank, **options)


def _pool(x=(1, 4, 9, 9), size=2, rank=2, **options):
    return lambda: pool_problem(x, size, rank=rank, **options)


ERRORS = [
    (_conv(w=(16, 3, 3, 3)), ["3 input channels", "x has 4", "(8, 4, 28, 28)", "(16, 3, 3, 3)", "groups=1", "NCHW"]),
    (_conv(w=(16, 4, 3, 3), groups=2), ["4 input channels", "groups=2", "must have 2"]),
    (_conv(x=(4, 28, 28)), ["x has 3 axes", "conv2d needs 4", "(N, C, H, W)", "(4, 28, 28)"]),
    (_conv(x=(4, 28, 28), layout="NHWC"), ["x has 3 axes", "(N, H, W, C)", "NHWC"]),
    (_conv(w=(4, 3, 3)), ["w has 3 axes", "needs 4", "(O, C/groups, KERNEL)", "(4, 3, 3)"]),
    (_conv(x=X, w=W, rank=1), ["x has 4 axes", "conv1d needs 3"]),
    (_conv(b=(15,)), ["b has shape (15,)", "16 output channels", "expected (16,)"]),
    (_conv(b=()), ["b has shape ()", "expected (16,)"]),
    (_conv(stride=0), ["stride is 0", "at least 1"]),
    (_conv(stride=(1, 2, 3)), ["stride is (1, 2, 3)", "2 of them"]),
    (_conv(stride=1.0), ["stride is 1.0", "whole numbers"]),
    (_conv(stride=True), ["stride is True", "not booleans"]),
    (_conv(stride="2"), ["stride is '2'", "whole number"]),
    (_conv(stride=None), ["stride is None", "whole number"]),
    (_conv(dilation=-1), ["dilation is -1", "at least 1"]),
    (_conv(dilation=(1, 0)), ["dilation is (1, 0)", "at least 1"]),
    (_conv(padding=-1), ["padding is -1", "must not be negative", "crop"]),
    (_conv(padding="full"), ["padding is 'full'", '"valid"', '"same"']),
    (_conv(padding=(1, 2, 3)), ["padding is (1, 2, 3)", "2 ints"]),
    (_conv(padding=((1, 2, 3), 1)), ["padding is ((1, 2, 3), 1)", "(before, after)"]),
    (_conv(padding=0.5), ["padding is 0.5", "whole numbers"]),
    (_conv(groups=3), ["groups is 3", "4 input and 16 output"]),
    (_conv(groups=0), ["groups is 0", "divide"]),
    (_conv(groups=-2), ["groups is -2", "divide"]),
    (_conv(groups=1.5), ["groups is 1.5", "whole numbers"]),
    (_conv(layout="CHWN"), ["layout is 'CHWN'", "'NCHW'", "'NHWC'"]),
    (_conv(layout="NWC"), ["layout is 'NWC'", "'NCHW'"]),
    (_conv(padding_mode="mirror"), ["padding_mode is 'mirror'", "reflect", "wrap"]),
    (_conv(padding_mode=["edge"]), ["padding_mode is ['edge']", "expected one of"]),
    (_conv(x=(1, 4, 2, 9)), ["empty along height", "2 + 0 + 0", "spans 3", "(1, 4, 2, 9)"]),
    (_conv(x=(1, 4, 9, 4), dilation=2), ["empty along width", "4 + 0 + 0", "spans 5"]),
    (_conv(x=(1, 4, 0, 9), padding=3), ["empty along height", "0 + 3 + 3"]),
    (_conv(x=(1, 0, 9, 9), w=(1, 0, 3, 3)), ["at least one element", "(1, 0, 9, 9)"]),
    (_conv(w=(0, 4, 3, 3)), ["at least one element", "(0, 4, 3, 3)"]),
    (_conv(w=(16, 4, 0, 3)), ["at least one element", "(16, 4, 0, 3)"]),
    (_conv(x=(1, 4, -2, 9)), ["(1, 4, -2, 9)", "negative"]),
    (_conv(x=(1, 4, 2.5, 9)), ["2.5", "whole numbers"]),
    (_transposed(w=(5, 6, 3, 3)), ["w has 5 input channels", "x has 4", "(C, O/groups, KERNEL)"]),
    (_transposed(x=(4, 5, 5)), ["conv_transpose2d", "4 axes", "(4, 5, 5)"]),
    (_transposed(w=(4, 6, 3)), ["conv_transpose2d", "4 axes", "(4, 6, 3)"]),
    (_transposed(groups=3), ["groups is 3", "4 input channels"]),
    (_transposed(b=(5,)), ["b has shape (5,)", "expected (6,)"]),
    (_transposed(output_padding=1), ["output_padding is 1", "below max(stride, dilation) = 1"]),
    (_transposed(output_padding=(0, 3), stride=(4, 2), dilation=(1, 3)), ["output_padding is 3", "width", "= 3"]),
    (_transposed(output_padding=-1), ["output_padding is -1", "at least 0"]),
    (_transposed(padding=4), ["empty", "less padding"]),
    (_transposed(x=(1, 4, 0, 5)), ["empty"]),
    (_pool(x=(4, 9, 9)), ["x has 3 axes", "2-D pooling needs 4", "(N, C, H, W)"]),
    (_pool(x=(1, 4, 0, 9)), ["at least one element", "(1, 4, 0, 9)"]),
    (_pool(size=0), ["size is 0", "at least 1"]),
    (_pool(size=(2, 2, 2)), ["size is (2, 2, 2)", "2 of them"]),
    (_pool(padding=2), ["padding is (2, 2)", "height", "below", "size, 2"]),
    (_pool(size=10), ["empty along height", "9 + 0 + 0", "spans 10"]),
    (_pool(stride=0), ["stride is 0", "at least 1"]),
    (lambda: adaptive_problem((1, 4, 9, 9), 0, rank=2), ["output size is 0", "at least 1"]),
    (lambda: adaptive_problem((1, 4, 9, 9), (1, 2, 3), rank=2), ["output size is (1, 2, 3)"]),
]


@pytest.mark.parametrize("call, parts", ERRORS, ids=[" ".join(parts[:1]) for _, parts in ERRORS])
def test_error_message_holds_what_was_given_and_expected(call, parts):
    with pytest.raises(InvalidArgument) as caught:
        call()
    message = str(caught.value)
    assert not [part for part in parts if part not in message], message
    assert isinstance(caught.value, ValueError)
    assert not re.search(r"<[\w.]+ object at|<function", message)


def test_rank_says_which_function():
    with pytest.raises(InvalidArgument, match="conv3d needs 5"):
        conv_problem((1, 1, 3, 3), (1, 1, 3, 3, 3), rank=3)
