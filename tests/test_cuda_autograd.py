"""Tensors on a device: the same results and gradients as on the host, in the simulator."""

import cudasim
import numpy as np
import pytest
from cudasim import SimulationError
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv.autograd import Tensor, no_grad
from fastconv.autograd import functional as F
from fastconv.cuda import array as device_array
from fastconv.cuda import backend
from fastconv.cuda.array import Array
from fastconv.cuda.arrays import arithmetic, functions, reduce, windows
from fastconv.errors import FastconvError, InvalidArgument

EXECUTOR = cudasim.Executor()
RNG = np.random.default_rng(3)
X, Y, ROW, COLUMN = (RNG.standard_normal(s) for s in ((3, 4), (3, 4), (4,), (3, 1)))
P = RNG.random((3, 4)) * 0.8 + 0.1
TARGET = np.eye(4)[[0, 2, 3]]
IMAGE = RNG.standard_normal((2, 3, 4, 5))

#: Name -> (function of tensors, the arrays it takes).
OPERATIONS = {
    "add": (lambda a, b: a + b, X, ROW),
    "subtract": (lambda a, b: b - a, X, COLUMN),
    "multiply": (lambda a, b: a * b, X, Y),
    "multiply a row": (lambda a, b: a * b, ROW, X),
    "divide": (lambda a, b: a / b, X, P),
    "divide by a column": (lambda a, b: a / b, X, np.abs(COLUMN) + 1),
    "numbers": (lambda a: 2 - 3 * a / 4 + a**2 - a**3, X),
    "negative": (lambda a: -a, X),
    "power": (lambda a: a**0.5, P),
    "exp": (F.exp, X),
    "log": (F.log, P),
    "absolute": (F.absolute, X),
    "sum": (lambda a: a.sum(), X),
    "sum over axes": (lambda a: a.sum(axis=(0, 2)) * 2, IMAGE),
    "sum, axes kept": (lambda a: a * a.sum(axis=-1, keepdims=True), X),
    "mean": (lambda a: a.mean(axis=1), X),
    "reshape": (lambda a: a.reshape(2, -1) * 2, X),
    "flatten": (lambda a: F.flatten(a) * 2, IMAGE),
    "transpose": (lambda a: F.transpose(a, axes=(0, 2, 3, 1)) * 3, IMAGE),
    "pad": (lambda a: F.pad(a, widths=((1, 0), (0, 2)), value=1.5) ** 2, X),
    "concatenate": (lambda a, b: F.concatenate(a, b, axis=0) ** 2, X, Y),
    "concatenate the last axis": (lambda a, b: F.concatenate(a, b) ** 2, X, COLUMN),
    "getitem": (lambda a: F.getitem(a, index=(slice(None, None, 2), slice(1, 3))) ** 2, X),
    "getitem of a row": (lambda a: F.getitem(a, index=1) ** 2, X),
    "penalty": (lambda a: F.penalty(a, l1=0.5, l2=0.25), X),
    "no penalty": (lambda a: F.penalty(a) + a.sum(), X),
    "bias of the last axis": (lambda a, b: a + b, IMAGE, RNG.standard_normal(5)),
    "mean squared error": (lambda a: F.mean_squared_error(a, target=like(Y, a)), X),
    "mean absolute error": (lambda a: F.mean_absolute_error(a, target=like(Y, a)), X),
    "categorical cross-entropy": (lambda a: F.categorical_cross_entropy(a, target=like(TARGET, a)), P),
    "binary cross-entropy": (lambda a: F.binary_cross_entropy(a, target=like(TARGET, a)), P),
    "used twice": (lambda a: a * a + a.sum() * a, X),
    "maximum": (F.maximum, X, ROW),
    "minimum": (lambda a: F.minimum(a, 0.25), X),
    "clip": (lambda a: a.clip(-0.5, 0.5) + a.clip(high=0), X),
    "where": (lambda a, b: F.where(a > b, a * b, b), X, COLUMN),
    "square root": (lambda a: a.sqrt(), P),
    "power of a tensor": (lambda a, b: a**b, P, X),
    "power of a number": (lambda a: 2**a, X),
    "variance": (lambda a: a.var(axis=1) + a.std(), X),
    "largest": (lambda a: a.max(axis=0) + a.min(), X),
    "shapes": (lambda a: a.unsqueeze(0).expand(2, 3, 4).squeeze() * 2 + a.T.T, X),
    "stack": (lambda a, b: F.stack(a, b, axis=1) ** 2, X, Y),
    "stacks of matrices": (lambda a, b: a @ b.T, IMAGE, RNG.standard_normal((2, 5))),
    "einsum": (lambda a, b: F.einsum("ij,kj->ki", a, b), X, RNG.standard_normal((2, 4))),
    "astype": (lambda a: a.astype(a.dtype) * 2, X),
}


@pytest.fixture(autouse=True)
def simulator():
    with backend.run_on(EXECUTOR):
        yield


def like(array, tensor):
    """An array on the tensor's device."""
    array = array.astype(tensor.dtype)
    return array if isinstance(tensor.data, np.ndarray) else fc.to_device(array)


def run(function, *arrays, device):
    """Result and gradients, on the host."""
    tensors = [Tensor(fc.to_device(a) if device else a, requires_grad=True) for a in arrays]
    y = function(*tensors)
    kinds = {type(y.data), *(type(t.data) for t in tensors)}
    weights = (np.arange(y.size).reshape(y.shape) % 3 + 1).astype(y.dtype)
    y.backward(fc.to_device(weights) if device else weights)
    kinds |= {type(t.grad) for t in tensors}
    assert kinds == {Array} if device else Array not in kinds
    return [np.asarray(fc.to_host(v)) for v in (y.data, *(t.grad for t in tensors))]


@pytest.mark.parametrize("name", OPERATIONS)
def test_as_on_the_host(name):
    function, *arrays = OPERATIONS[name]
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        arrays = [a.astype(dtype) for a in arrays]
        for actual, expected in zip(
            run(function, *arrays, device=True), run(function, *arrays, device=False), strict=True
        ):
            assert actual.dtype == expected.dtype == dtype
            assert actual.shape == expected.shape
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["multiply a row", "divide", "mean", "categorical cross-entropy", "getitem", "pad"])
def test_gradients_against_central_differences(name):
    function, *arrays = OPERATIONS[name]
    tensors = [Tensor(fc.to_device(a), requires_grad=True) for a in arrays]
    function(*tensors).sum().backward()
    for i, (array, tensor) in enumerate(zip(arrays, tensors, strict=True)):
        u = RNG.standard_normal(array.shape)
        ends = []
        for step in (1e-5, -1e-5):
            moved = [fc.to_device(a + step * u if k == i else a) for k, a in enumerate(arrays)]
            ends.append(float(function(*map(Tensor, moved)).sum().data))
        np.testing.assert_allclose((tensor.grad.numpy() * u).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-7)


def test_pools_and_convolutions():
    """Forward they run where the tensor is."""
    w = RNG.standard_normal((2, 3, 3, 3))
    with no_grad():
        y = F.avg_pool2d(F.conv2d(Tensor(fc.to_device(IMAGE)), fc.to_device(w), padding=1), size=2)
        expected = F.avg_pool2d(F.conv2d(Tensor(IMAGE), w, padding=1), size=2).data
    assert isinstance(y.data, Array)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    x = Tensor(fc.to_device(IMAGE), requires_grad=True)
    F.avg_pool2d(x, size=2).sum().backward()
    assert isinstance(x.grad, Array)
    assert x.grad.numpy().max() == 0.25


def test_there_and_back():
    x = Tensor(X, requires_grad=True)
    there = fc.to_device(x)
    assert isinstance(there.data, Array)
    y = fc.to_host(there * 2)
    assert isinstance(y.data, np.ndarray)
    (y * Y).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * Y)
    z = Tensor(fc.to_device(X), requires_grad=True)
    (fc.to_host(fc.to_device(z)) ** 2).sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), 2 * X)


def test_fastconvs_functions_take_tensors_of_a_device():
    x, w = Tensor(fc.to_device(IMAGE), requires_grad=True), RNG.standard_normal((2, 3, 3, 3))
    for y in (fc.conv2d(x, fc.to_device(w)), fc.conv2d(x, Tensor(fc.to_device(w))), fc.max_pool2d(x, 2)):
        assert isinstance(y, Tensor) and isinstance(y.data, Array) and y.requires_grad
    with pytest.raises(InvalidArgument, match="mixed"):
        fc.conv2d(x, w)
    z = Tensor(fc.to_device(X), requires_grad=True)
    with no_grad():
        z -= 1
    np.testing.assert_allclose(z.numpy(), X - 1)
    labels = fc.to_device(np.array([0, 3, 1]))
    loss = F.softmax_cross_entropy(z, labels)
    assert loss.item() == pytest.approx(F.softmax_cross_entropy(X - 1, np.array([0, 3, 1])).item())
    assert z.argmax(axis=1).numpy().tolist() == X.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    "call", [lambda x: F.sin(x), lambda x: x[[0, 1]], lambda x: x[x > 0], lambda x: F.einsum("ii->i", x[:3, :3])]
)
def test_what_devices_lack_is_said(call):
    with pytest.raises(FastconvError, match="device arrays"):
        call(Tensor(fc.to_device(X), requires_grad=True))


def test_gradients_add_up():
    x = Tensor(fc.to_device(X), requires_grad=True)
    for _ in range(2):
        (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full_like(X, 4))
    assert float((x * 0).sum().data) == 0
    assert (x.detach() ** 2).sum().item() == pytest.approx((X**2).sum())


def test_host_and_device_are_not_mixed():
    x = Tensor(fc.to_device(X), requires_grad=True)
    for wrong in (
        lambda: x + X,
        lambda: Tensor(X) * x,
        lambda: x.backward(X),
        lambda: Tensor(X, requires_grad=True).backward(fc.to_device(X)),
        lambda: F.binary_cross_entropy(x, target=TARGET),
        lambda: F.mean_squared_error(x, target=Y),
    ):
        with pytest.raises(InvalidArgument, match="mixed"):
            wrong()
    with pytest.raises(TypeError, match=r"numpy\(\)"):
        np.asarray(x)


def test_nothing_is_copied_to_the_host(monkeypatch):
    monkeypatch.setattr(EXECUTOR, "to_host", None)
    x = Tensor(fc.to_device(P), requires_grad=True)
    loss = F.categorical_cross_entropy(F.getitem(x, index=slice(0, 2)), target=fc.to_device(TARGET[:2]))
    (loss + F.penalty(x, l2=0.1)).backward()
    x.data -= 0.1 * x.grad
    assert x.data.shape == P.shape
    assert "Array(shape=(3, 4)" in repr(x)


#: Module, text, its replacement, what it spoils, and where that is used.
BUGS = {
    "nothing repeated": (windows, "0 if n == 1 else step", "step", "broadcast", (arithmetic, functions)),
    "starts forgotten": (windows, "start += at % n * step", "start += 0", "indexed", (device_array, functions)),
    "a step too small": (windows, "append(step * stride)", "append(step)", "indexed", (device_array, functions)),
    "axes that do not fit": (windows, "outer == inner * sizes", "outer >= inner * sizes", "collapsed", (arithmetic,)),
    "runs out of order": (reduce, ": a + 1]), R, inner))", ": a + 1]), inner, R))", "_runs", (reduce,)),
    "values overwritten": (functions, "        at = end\n", "", "FUNCTIONS", (functions,)),
    "no gradient where cut": (functions, "x[index] = function(", "x[...] = function(", "_at", (functions,)),
}


def exercise():
    names = ("multiply a row", "sum over axes", "concatenate", "getitem", "getitem of a row", "bias of the last axis")
    pairs = []
    for function, *arrays in (OPERATIONS[name] for name in names):
        pairs += zip(run(function, *arrays, device=True), run(function, *arrays, device=False), strict=True)
    return pairs


def plant(monkeypatch, folder, module, old, new, name, users):
    mutant = mutated(module, old, new, folder)
    if module is windows:
        mutant.Window = windows.Window  # the class stays what others know
    arithmetic.mapping.cache_clear()  # what is planned already would hide the bug
    for user in users:
        monkeypatch.setattr(user, name, getattr(mutant, name))


@pytest.fixture
def unplanned():
    yield
    arithmetic.mapping.cache_clear()


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(unplanned, bug, tmp_path, monkeypatch):
    plant(monkeypatch, tmp_path, *BUGS[bug])
    try:
        pairs = exercise()
    except (SimulationError, ValueError, AssertionError):  # a shape that cannot be is noticed too
        return
    assert_noticed(lambda: pairs)


def test_no_mutant_is_noticed_without_a_bug(unplanned, tmp_path, monkeypatch):
    plant(monkeypatch, tmp_path, windows, "MOST_AXES = 6\n", "MOST_AXES = 5\n", "collapsed", (arithmetic,))
    for actual, expected in exercise():
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_operands_on_a_device_too(simulator):
    x, w = (Tensor(fc.to_device(np.ones((2, 2), np.float32)), requires_grad=True) for _ in range(2))
    h = F.relu(F.matmul(x, w))
    y = (h * h).sum()
    w.data[...] = 50
    h.data[...] = 9
    y.backward()
    assert x.grad.numpy().tolist() == [[8, 8], [8, 8]]
    a, b = (Tensor(fc.to_device(np.ones(2, np.float32)), requires_grad=True) for _ in range(2))
    (a + b).backward(fc.to_device(np.ones(2, np.float32)))
    a.grad[...] = 5
    assert b.grad.numpy().tolist() == [1, 1]


def test_comparisons_and_masks_on_a_device(simulator):
    p = Tensor(fc.to_device(np.array([0, 5, 2], np.float32)), requires_grad=True)
    y = Tensor(fc.to_device(np.array([1, -1, 0.5], np.float32)))
    mask = y != -1
    assert mask.numpy().tolist() == [True, False, True]
    assert (p > y).numpy().tolist() == [False, True, True]
    assert (~(y <= 0.5) | (p == 2)).numpy().tolist() == [True, False, True]
    loss = ((p - y) ** 2 * mask).sum() / mask.sum()
    loss.backward()
    assert loss.item() == 1.625
    assert p.grad.numpy().tolist() == [-1.0, 0.0, 1.5]
