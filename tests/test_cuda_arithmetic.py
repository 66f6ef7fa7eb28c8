"""Element-wise kernels of device arrays against NumPy, in the simulator, with planted bugs."""

import cudasim
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planting import assert_noticed, mutated

from fastconv.cuda import backend, launch
from fastconv.cuda.array import asarray
from fastconv.cuda.arrays import arithmetic, elementary, ufuncs, windows
from fastconv.errors import Unsupported

EXECUTOR = cudasim.Executor()
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, -2.0, 3.0], np.float32)
UFUNCS = {
    "unary": ("negative", "positive", "absolute", "sign", "sqrt", "square", "exp", "log", "log1p", "expm1", "tanh",
              "reciprocal", "isnan", "isinf", "isfinite", "logical_not"),
    "binary": ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "equal", "not_equal", "less",
               "less_equal", "greater", "greater_equal", "logical_and", "logical_or"),
}  # fmt: skip
#: Pairs of shapes: the same, a number, a row, a column, in the middle, both ways, one element, none.
SHAPES = [
    ((3, 5), (3, 5)), ((3, 5), ()), ((3, 5), (5,)), ((3, 5), (3, 1)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (3, 1)),
    ((1, 1), (1,)), ((0, 4), (4,)), ((2, 1, 2, 1, 2), (3, 1, 2, 1)),
]  # fmt: skip


@pytest.fixture(autouse=True)
def simulator():
    with backend.run_on(EXECUTOR), np.errstate(all="ignore"):
        yield


def agree(actual, expected, tolerance=0.0):
    assert actual.dtype == expected.dtype
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", [name for names in UFUNCS.values() for name in names])
def test_functions_of_special_values(name):
    ufunc = getattr(np, name)
    operands = [SPECIAL] if ufunc.nin == 1 else list(map(np.ravel, np.meshgrid(SPECIAL, SPECIAL)))
    if name == "power":
        operands[0] = np.abs(operands[0])
    agree(ufunc(*map(asarray, operands)), ufunc(*operands), 1e-6)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_broadcasting(shapes):
    a, b = (np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape) + 1 for shape in shapes)
    agree(asarray(a) - asarray(b), a - b)
    agree(np.divide(asarray(b), asarray(a)), b / a, 1e-6)
    agree(np.where(asarray(a) > 3, asarray(b), 0), np.where(a > 3, b, 0).astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_broadcast(data):
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    one, two = ([n if data.draw(st.booleans()) else 1 for n in shape] for _ in range(2))
    two = two[data.draw(st.integers(0, len(shape) - 1)) :]
    a, b = (np.arange(np.prod(s), dtype=np.float32).reshape(s) for s in (one, two))
    with backend.run_on(EXECUTOR):
        agree(asarray(a) * asarray(b), a * b)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float64"])
def test_dtypes_are_numpys(dtype):
    x = (np.arange(6).reshape(2, 3) % 5).astype(dtype)
    d, f, g = asarray(x), np.float32([[1], [2]]), np.arange(3, dtype=np.int32)
    for function in (
        lambda x, f, g: x + f,
        lambda x, f, g: x * g,
        lambda x, f, g: np.maximum(x, g),
        lambda x, f, g: x == g,
        lambda x, f, g: x * 2.5,
        lambda x, f, g: np.float64(2) * x,
        lambda x, f, g: np.exp(x),
        lambda x, f, g: np.where(x, f, g),
        lambda x, f, g: x.astype(np.float32),
        lambda x, f, g: x.astype(bool),
        lambda x, f, g: np.logical_and(x, f > 1),
    ):
        agree(function(d, asarray(f), asarray(g)), function(x, f, g), 2e-3 if dtype in ("float16", "bool") else 1e-6)


def test_numbers_take_the_arrays_dtype():
    x = np.float32([1, 2])
    agree(asarray(x) * 3, x * 3)
    agree(1 - asarray(x), 1 - x)
    agree(asarray(x) ** 2, x**2)
    agree(asarray(x) ** 0.5, x**0.5, 1e-6)
    agree(np.float32(3) / asarray(x), np.float32(3) / x, 1e-6)
    agree(asarray(x) * np.asarray(np.float64(2)), x * np.asarray(np.float64(2)))
    agree(asarray([True, False]) | True, np.array([True, True]))


def test_clip_and_masks():
    x = np.append(SPECIAL, np.float32([-9, 9]))
    for low, high in ((-1, 2), (None, 2), (-1, None), (np.float32(0), np.float32(1)), (-1, np.nan)):
        agree(np.clip(asarray(x), low, high), np.clip(x, low, high))
    inside = (asarray(x) > 0) & (asarray(x) < 5)
    agree(inside, (x > 0) & (x < 5))
    agree(~inside, ~((x > 0) & (x < 5)))


def test_in_place_and_out():
    x, y = np.float32([[1, 2], [3, 4]]), np.float32([10, 20])
    d = asarray(x)
    before = d.handle
    d += asarray(y)
    assert d.handle is before
    agree(d, x + y)
    out = asarray(np.zeros((2, 2), np.float64))
    assert np.multiply(asarray(x), 2, out=out) is out
    agree(out, (x * 2).astype(np.float64))
    np.greater(asarray(x), 2, out=out)
    agree(out, (x > 2).astype(np.float64))
    with pytest.raises(TypeError, match="cannot cast"):
        np.add(asarray(x), 0.5, out=asarray(np.zeros((2, 2), np.int32)))


def test_a_row_of_the_result_may_be_an_operand():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    d = asarray(x)
    d += d[1:2]
    agree(d, x + x[1:2])


def test_wide_indices_and_many_elements_a_thread(monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    monkeypatch.setattr(arithmetic, "LARGE", 1)
    x = np.arange(360, dtype=np.float32).reshape(9, 8, 5)
    agree(asarray(x) + asarray(x[0, :, :1]), x + x[0, :, :1])
    agree(asarray(x)[::-1, 1::2], x[::-1, 1::2])


def test_what_is_not_there_is_refused():
    x = asarray(np.float32([1, 2]))
    for run in (lambda: np.arctan(x), lambda: np.invert(asarray([1, 2])), lambda: np.modf(x)):
        with pytest.raises(Unsupported, match=r"numpy\(\)"):
            run()
    with pytest.raises(TypeError, match=r"add.*where"):
        np.add(x, x, where=np.array([True, False]))


# --- windows


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_are_numpys_views(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    x = np.arange(np.prod(shape)).reshape(shape)
    steps = st.integers(-3, 3).filter(bool)
    ends = st.none() | st.integers(-5, 5)
    parts = st.builds(slice, ends, ends, st.none() | steps) | st.none()
    index = tuple(data.draw(st.lists(parts, max_size=len(shape))))[: len(shape)]
    if data.draw(st.booleans()):
        index = (data.draw(st.integers(-shape[0], shape[0] - 1)), *index[1:])
    window = windows.indexed(windows.whole(x), index)
    view = x[index]
    assert window.shape == view.shape
    places = window.start + sum(np.indices(view.shape)[a] * step for a, step in enumerate(window.steps))
    np.testing.assert_array_equal(x.reshape(-1)[places] if view.size else view, view)


def test_axes_that_go_together_become_one():
    assert windows.collapsed((2, 3, 4), [(12, 4, 1), (12, 4, 1)]) == ((24,), [(1,), (1,)])
    assert windows.collapsed((2, 3, 4), [(12, 4, 1), (0, 0, 1)]) == ((4, 6), [(1, 4), (1, 0)])
    assert windows.collapsed((2, 1, 3), [(3, 3, 1), (1, 0, 0)]) == ((3, 2), [(1, 3), (0, 1)])
    assert windows.collapsed((), [(), ()]) == ((1,), [(0,), (0,)])
    with pytest.raises(Unsupported, match="7 axes"):
        windows.collapsed((2,) * 7, [(1,) * 7])


# --- planted bugs


TWO = """            if U(first + U(k * BLOCK)) < U(total):
                y[U(first + U(k * BLOCK))] = store(f(va[k], vb[k]))"""
MAP_BUGS = {
    "one element too many": ("< U(total):\n                if", "<= U(total):\n                if"),
    "loads beyond the end": (", U(U(total) - U(1))))  # what", ", U(U(total) + U(BLOCK))))  # what"),
    "no start": ("U(starts[0]), U(starts[1])", "U(starts[0]), U(0)"),
    "steps of another operand": ("at_b + rest * U(steps_b[axes - 1])", "at_b + rest * U(steps_a[axes - 1])"),
    "an axis skipped": ("                rest = whole\n", ""),
    "one step only": ("rest = U(min(U(first + U(k * BLOCK))", "rest = U(min(U(first + U(k))"),
    "operands exchanged": ("y[to[k]] = store(f(va[k], vb[k]))", "y[to[k]] = store(f(vb[k], va[k]))"),
    "one place for all": ("y[to[k]] = store(f(va[k], vb[k]))", "y[to[0]] = store(f(va[k], vb[k]))"),
    "one element too many in a row": (TWO, TWO.replace("<", "<=")),
    "one operand too often": (TWO, TWO.replace("vb[k]", "vb[0]")),
    "rows taken for a row": ("all(place == steps[0] for place in real)", "True"),
}  # fmt: skip
FUNCTION_BUGS = {
    "NaN loses": ("lambda a, b: a if a >= b or a != a else b", "lambda a, b: b if b > a else a"),
    "negative zero": ("-a if a < C(0) else a + C(0)", "a if a > C(0) else -a"),
    "the sign of NaN": ("C(-1) if a < C(0) else a,", "C(-1) if a < C(0) else C(0),"),
    "no lower bound": ("b = low if low > a or low != low else a", "b = a"),
}  # fmt: skip


def exercise():
    x, w = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.arange(300, dtype=np.float32).reshape(3, 100)
    d, e = asarray(x), asarray(w)
    pairs = [
        (d - d * d, x - x * x),
        (d - d[:1, :, :1], x - x[:1, :, :1]),
        (d[:1] - d[0, 0, 0:1], x[:1] - x[0, 0, 0:1]),
        (d[1:, ::-1, 1:] / d[1, 1, 1], x[1:, ::-1, 1:] / x[1, 1, 1]),
        (e - e * e, w - w * w),
        (e - e[:, 5:6] * e[1], w - w[:, 5:6] * w[1]),
    ]
    return [(actual.numpy(), expected) for actual, expected in pairs]


def exercise_functions():
    d = asarray(SPECIAL)
    functions = (lambda x: np.maximum(0, x), lambda x: 1 / np.abs(x), np.sign, lambda x: np.clip(x, -1, 2))
    return [(f(d).numpy(), f(SPECIAL)) for f in functions]


@pytest.mark.parametrize("bug", MAP_BUGS)
def test_planted_bugs_in_the_map(bug, tmp_path, monkeypatch):
    mutant = mutated(arithmetic, *MAP_BUGS[bug], tmp_path)
    mutant.LARGE = 1
    monkeypatch.setattr(ufuncs, "apply", mutant.apply)
    assert_noticed(exercise)


@pytest.mark.parametrize("bug", FUNCTION_BUGS)
def test_planted_bugs_in_functions(bug, tmp_path, monkeypatch):
    mutant = mutated(elementary, *FUNCTION_BUGS[bug], tmp_path)
    monkeypatch.setattr(arithmetic, "device_function", mutant.device_function)
    launch._kernel.cache_clear()
    assert_noticed(exercise_functions)
    launch._kernel.cache_clear()


def test_no_mutant_is_noticed_without_a_bug(tmp_path, monkeypatch):
    mutant = mutated(arithmetic, "    return map_elements\n", "    return map_elements  # the same\n", tmp_path)
    monkeypatch.setattr(ufuncs, "apply", mutant.apply)
    mutant.LARGE = 1
    for actual, expected in exercise():
        np.testing.assert_array_equal(actual, expected)
    for actual, expected in exercise_functions():
        np.testing.assert_array_equal(actual, expected)
