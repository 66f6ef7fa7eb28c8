"""Tensors as arrays: methods, indices, places, fastconv's and NumPy's functions of them, and what PyTorch says."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn as keras
from fastconv.autograd import Tensor, gradcheck, no_grad
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument


def leaf(values):
    return Tensor(np.array(values, float), requires_grad=True)


# --- fastconv's own functions

A = np.random.default_rng(0).standard_normal((1, 2, 6, 5))
W = np.random.default_rng(1).standard_normal((2, 2, 3, 3))
IMAGES = {
    "conv2d": lambda t: fc.conv2d(t, W, padding=1, stride=2),
    "conv2d's w": lambda t: fc.conv2d(A, t[..., :3]),
    "conv2d's b": lambda t: fc.conv2d(A, W, b=t[0, :, 0, 0], activation="tanh"),
    "conv1d": lambda t: fc.conv1d(t[:, :, 0], W[..., 0]),
    "conv3d": lambda t: fc.conv3d(x=t[None], w=W[:, :1, None]),
    "conv_transpose2d": lambda t: fc.conv_transpose2d(t, W, stride=2, output_padding=1),
    "max_pool2d": lambda t: fc.max_pool2d(t, 2, stride=1, padding=1),
    "avg_pool2d": lambda t: fc.avg_pool2d(t, 2, count_include_pad=False, padding=1),
    "lp_pool2d": lambda t: fc.lp_pool2d(t, 2, p=3),
    "global_max_pool2d": lambda t: fc.global_max_pool2d(t),
    "global_avg_pool2d": lambda t: fc.global_avg_pool2d(t, layout="NHWC"),
    "adaptive_avg_pool2d": lambda t: fc.adaptive_avg_pool2d(t, (2, 3)),
    "adaptive_max_pool2d": lambda t: fc.adaptive_max_pool2d(t, size=2),
    "conv2d_input_grad": lambda t: fc.conv2d_input_grad(t, W, (1, 2, 8, 7)),
    "unfold2d": lambda t: fc.unfold2d(t, 2),
    "matmul": lambda t: fc.matmul(t, np.ones((3, 5)), transpose_b=True, activation="sigmoid"),
    "to_host": lambda t: fc.to_host(t) * t,
}


@pytest.mark.parametrize("name", IMAGES)
def test_functions_of_fastconv_differentiate(name):
    assert isinstance(IMAGES[name](Tensor(A, requires_grad=True)), Tensor)
    assert gradcheck(IMAGES[name], A)
    with no_grad():
        assert not IMAGES[name](Tensor(A, requires_grad=True)).requires_grad
    assert not IMAGES[name](Tensor(A)).requires_grad
    assert isinstance(IMAGES[name](A), np.ndarray)
    np.testing.assert_array_equal(IMAGES[name](A), IMAGES[name](Tensor(A)).data)


def test_maxima_of_a_tensor_and_where_they_are():
    y, where = fc.max_pool2d(leaf(A), 2, return_indices=True)
    expected, places = fc.max_pool2d(A, 2, return_indices=True)
    assert y.requires_grad and isinstance(where, np.ndarray)
    np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(where, places)


def test_the_gradient_of_a_gradient():
    """What a convolution's gradient depends on is found by writing it down: here that of |dx|**2 to the weights."""
    dy = np.ones((1, 2, 4, 3))
    assert gradcheck(lambda w: (fc.conv2d_input_grad(dy, w, A.shape) ** 2).sum(), W)
    assert gradcheck(lambda x: (fc.conv2d_weight_grad(x, dy, W.shape) ** 2).sum(), A)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: fc.plan_conv2d(t, (1, 2, 6, 5)), "plan_conv2d has no gradient, and an argument is a tensor"),
        (lambda t: fc.plan_conv2d(W, A.shape)(t), r"x is a Tensor; only arrays can be used here: pass x.numpy\(\)"),
        (lambda t: fc.lp_pool2d_grad(t, A, A, 2), "lp_pool2d_grad has no gradient"),
        (lambda t: fc.conv2d(t, W, out=np.empty((1, 2, 4, 3))), "conv2d of tensors .* leave out= away"),
        (lambda t: fc.conv2d(t[0], W), "x has 3 axes but conv2d needs 4"),
        (lambda t: fc.conv2d(t, W, stride=0), "stride"),
        (lambda t: fc.max_pool2d(t, 2, return_indices="yes"), "return_indices"),
        (lambda t: fc.matmul(t, np.ones((4, 4))), r"a has 5 columns but b has 4 rows"),
    ],
)
def test_wrong_calls_of_them(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call(leaf(A))


# --- as an array

VIEWS = {
    "T": (lambda x: x.T, (2, 3, 4)),
    "T of a number": (lambda x: x.T, ()),
    "transpose": (lambda x: x.transpose(2, 0, 1), (2, 3, 4)),
    "transpose of axes": (lambda x: x.transpose((1, 0)), (2, 3)),
    "reshape": (lambda x: x.reshape(-1, 2), (2, 3)),
    "nothing": (lambda x: x.reshape(0, 5), (0, 3)),
    "squeeze": (lambda x: x.squeeze(), (1, 3, 1)),
    "a slice": (lambda x: x[1:, ::-1], (2, 3)),
    "None": (lambda x: x[..., None, 0], (2, 3)),
    "integers": (lambda x: x[[1, 0, 1], [2, 2, 0]], (2, 3)),
    "a mask": (lambda x: x[np.array([True, False])], (2, 3)),
    "sum": (lambda x: x.sum(axis=1), (2, 3)),
    "mean": (lambda x: x.mean((0, 1), keepdims=True), (2, 3)),
    "var": (lambda x: x.var(axis=0, ddof=1), (3, 2)),
    "std": (lambda x: x.std(), (3, 2)),
    "max": (lambda x: x.max(axis=-1), (3, 2)),
    "min": (lambda x: x.min(), (3, 2)),
    "argmax": (lambda x: x.argmax(axis=1), (3, 2)),
    "argmin": (lambda x: x.argmin(), (3, 2)),
    "abs": (lambda x: abs(x), (3,)),
    "power": (lambda x: abs(x) ** abs(x), (3,)),
    "of a number": (lambda x: 2**x, (3,)),
    "by the left": (lambda x: np.ones((2, 3)) @ x, (3, 4)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_as_numpy_does(name):
    f, shape = VIEWS[name]
    x = np.random.default_rng(3).standard_normal(shape)
    for array in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2] if x.ndim else x, x.astype(np.float32)):
        result = f(Tensor(array))
        expected = f(array)
        assert isinstance(result, Tensor) and result.dtype == np.asarray(expected).dtype
        assert result.shape == np.shape(expected)
        np.testing.assert_allclose(result.data, expected, rtol=1e-5 if array.dtype == np.float32 else 1e-12, atol=1e-7)


BROADCASTS = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((0, 3), (1, 3)), ((1,), (0,)), ((2, 0), (1,))]
BINARY = {
    "add": (lambda a, b: a + b), "subtract": (lambda a, b: a - b), "multiply": (lambda a, b: a * b),
    "divide": (lambda a, b: a / b), "power": (lambda a, b: a**b), "maximum": F.maximum, "minimum": F.minimum,
    "where": (lambda a, b: F.where(np.bool_(True), a, b)),
}  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_broadcast(name):
    rng = np.random.default_rng(5)
    for shapes in BROADCASTS:
        for a_shape, b_shape in (shapes, shapes[::-1]):
            assert gradcheck(BINARY[name], rng.random(a_shape) + 0.5, rng.random(b_shape) + 2)


def test_numbers_of_one_element():
    loss = leaf([2.5]).sum()
    assert float(loss) == 2.5 and int(loss) == 2 and f"{loss:.2f}" == "2.50" and f"{loss}".startswith("Tensor(")
    assert leaf([[1.0], [2.0]]).tolist() == [[1.0], [2.0]]
    with pytest.raises(InvalidArgument, match=r"one element but the shape is \(2,\)"):
        leaf([1.0, 2.0]).item()


def test_the_largest_ones_share_the_gradient():
    x = leaf([[3.0, 1.0, 3.0], [np.nan, 1.0, 2.0]])
    x.max(axis=1).backward(np.ones(2))
    assert x.grad.tolist() == [[0.5, 0, 0.5], [1, 0, 0]]
    a, b = leaf([1.0, 2.0]), leaf([1.0, 3.0])
    F.maximum(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 0] and b.grad.tolist() == [0.5, 1]


def test_where_the_gradient_is_a_choice():
    x = leaf([0.0, 0.0])
    x.std().backward()
    assert x.grad.tolist() == [0, 0], "no direction is better than another"
    x.zero_grad()
    (x**0).sum().backward()
    assert x.grad.tolist() == [0, 0]
    x.zero_grad()
    e = leaf([2.0, 0.0])
    (x**e).sum().backward()
    assert x.grad.tolist() == [0, 0] and e.grad.tolist() == [0, 0]
    y = leaf([-2.0, 0.0, 2.0])
    y.clip(-1, 2).sum().backward()
    assert y.grad.tolist() == [0, 1, 1]


def test_flags_of_tensors():
    x = Tensor(np.ones(2))
    assert x.requires_grad_() is x and x.requires_grad
    x.requires_grad = False
    y = Tensor(np.ones(2), requires_grad=True) * 2
    for wrong, message in (
        (lambda: setattr(x, "requires_grad", "yes"), "requires_grad"),
        (lambda: setattr(y, "requires_grad", False), "detach"),
        (lambda: Tensor([1]).requires_grad_(), "floating-point data but the dtype is int64"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            wrong()
    assert not (y > 1).requires_grad and not y.argmax().requires_grad and not y.astype(int).requires_grad
    assert y.astype(np.float32).requires_grad


# --- in place


def test_a_step_by_hand():
    """PyTorch's idiom: what is meant to change a weight changes it, and nothing else does."""
    w = leaf([1.0, 2.0])
    array = w.data
    (w * w).sum().backward()
    with no_grad():
        w -= 0.25 * w.grad
    assert w.data is array and array.tolist() == [0.5, 1.0] and w.requires_grad
    for step in (
        lambda t: t.__iadd__(1),
        lambda t: t.__isub__(1),
        lambda t: t.__imul__(2),
        lambda t: t.__itruediv__(2),
    ):
        with pytest.raises(InvalidArgument, match=r"requires a gradient; write t = t . \.\.\., or, for a step"):
            step(w)
    h = kept = w * 2
    h += 1
    assert h is not kept and kept.data.tolist() == [1, 2], "a result becomes another tensor"
    with no_grad(), pytest.raises(InvalidArgument, match="t is a result"):
        kept *= 2
    total = Tensor(0.0)
    total += w.sum()
    assert total.requires_grad
    constant = same = Tensor(np.ones(2))
    constant /= 2
    assert same.data.tolist() == [0.5, 0.5]
    for value, message in ((np.ones(3), "cannot be changed by"), ("a", "cannot be changed by")):
        with pytest.raises(InvalidArgument, match=message):
            constant *= value
    with pytest.raises(InvalidArgument, match="functional.where"):
        constant[0] = 1


def test_gradients_after_a_step_by_hand():
    w = leaf([3.0])
    y = (w * w).sum()
    with no_grad():
        w -= 1
    y.backward()
    assert w.grad == 6, "of the value that was there"


# --- NumPy's functions


def test_functions_of_numpy_are_operations():
    x, a = leaf([[0.5, 2.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    for f in (
        np.exp, np.log, np.sqrt, np.sin, np.cos, np.tanh, np.abs, np.negative, np.square, np.transpose, np.sum, np.mean,
        np.max, np.min, np.var, np.std, np.squeeze, np.argmax, np.shape, np.ndim, np.size,
        lambda v: np.add(a, v), lambda v: np.power(v, 2), lambda v: np.maximum(v, a), lambda v: np.matmul(v, a),
        lambda v: np.less(v, a), lambda v: np.less(a, v), lambda v: a > v, lambda v: a @ v, lambda v: a - v,
        lambda v: np.stack([v, v], axis=1), lambda v: np.concatenate([v, v]), lambda v: np.where(v > 1, v, a),
        lambda v: np.clip(v, 1, 2), lambda v: np.sum(v, axis=0), lambda v: np.mean(v, axis=1, keepdims=True),
        lambda v: np.reshape(v, (4, 1)), lambda v: np.expand_dims(v, 0), lambda v: np.broadcast_to(v, (3, 2, 2)),
    ):  # fmt: skip
        result, expected = f(x), f(x.numpy())
        np.testing.assert_allclose(
            fc.to_host(result).data if isinstance(result, Tensor) else result, expected, rtol=1e-6
        )
        floating = np.asarray(expected).dtype.kind == "f"
        assert not floating or (isinstance(result, Tensor) and result.requires_grad), f


def test_functions_of_numpy_without_a_gradient_are_refused():
    x = leaf([1.0, 2.0])
    for call in (
        lambda: np.cumsum(x),
        lambda: np.arctan(x),
        lambda: np.add(x, 1, out=np.empty(2)),
        lambda: np.linalg.norm(x),
        lambda: np.hstack([x, [x]]),
        lambda: np.add.reduce(x),
    ):
        with pytest.raises(InvalidArgument, match="knows no gradient"):
            call()
    array = np.ones(2)
    with pytest.raises(InvalidArgument, match="knows no gradient"):
        array += x
    assert isinstance(np.arctan(x.detach()), Tensor)
    with no_grad():
        assert np.cumsum(x).tolist() == [1, 3]


# --- wrong calls


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: x.squeeze(0), r"axis is 0 but the shape is \(2, 3\); only axes of size 1"),
        (lambda x: x.unsqueeze(5), "axis is 5 but there are 3 axes"),
        (lambda x: x.unsqueeze("a"), "axis is 'a'; expected a whole number"),
        (lambda x: x.transpose(0, 0), "an axis is named twice"),
        (lambda x: x.argmax(axis=(0, 1)), "expected one axis"),
        (lambda x: x[:0].argmax(), "has no elements there"),
        (lambda x: x[:0].max(), r"max\(.*cannot be computed: .*zero-size"),
        (lambda x: x.reshape(4), r"reshape\(.*cannot be computed"),
        (lambda x: x.expand(4, 3), r"expand\(.*cannot be computed"),
        (lambda x: x.expand(-1, -1, 3, -2), "expected sizes, or -1"),
        (lambda x: x.clip(2, 1), "low must not be above high"),
        (lambda x: x.clip("a"), "low"),
        (lambda x: x.var(ddof=6), "each variance is of 6 elements"),
        (lambda x: x.astype("number"), "dtype is 'number'; expected a dtype"),
        (lambda x: x.astype(complex), "expected one of real numbers"),
        (lambda x: x[5], r"getitem\(.*cannot be computed: IndexError"),
        (lambda x: F.where(x, x, x), "expected booleans: compare"),
        (lambda x: F.stack(x, x[:1]), r"stack\(.*cannot be computed"),
        (lambda x: x + np.ones(2), r"add\(.*cannot be computed"),
        (lambda x: F.einsum("ij,jk->ik", x, np.ones((2, 2))), "axis 'j' of 'ij,jk->ik' has sizes 3 and 2"),
        (lambda x: F.einsum("ij", x, x), "with 2 operands; expected letters for the axes of each"),
        (lambda x: F.einsum("ijk->i", x), "the operand of 'ijk' has 2 axes"),
        (lambda x: F.einsum("ij->iji", x), "names an axis twice"),
        (lambda x: F.einsum("ij->k", x), "one nobody has"),
        (lambda x: F.einsum("i.j->ij", x), "expected letters"),
        (lambda x: F.einsum(x, "ij"), "subscripts is"),
    ],
)
def test_wrong_calls_are_sentences(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call(leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))


def test_sums_of_whole_numbers_are_numpys():
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    for text, operands in (("ij,jk->ik", (a, b)), ("ij->j", (a,)), ("...j,jk->...k", (a, b)), ("ii->i", (b[:, :3],))):
        result = F.einsum(text, *operands)
        assert result.dtype == int
        np.testing.assert_array_equal(result.data, np.einsum(text, *operands))


# --- and PyTorch


def test_a_network_by_hand_as_pytorch_computes_it():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(s) * 0.3 for s in ((4, 1, 8, 8), (3, 1, 3, 3), (3,), (48, 5), (5,))]
    labels = np.array([0, 3, 4, 1])

    def ours(x, w, b, v, c):
        h = fc.max_pool2d(fc.conv2d(x, w, b, padding=1).relu(), 2)
        z = h.reshape(4, -1) @ v + c
        h = (z - z.max(axis=1, keepdims=True)).exp()
        p = h / h.sum(axis=1, keepdims=True)
        return -p[np.arange(4), labels].log().mean() + z.std() * (z.abs() + 0.1).sqrt().mean() + z.clip(-0.5, 1).var()

    def theirs(x, w, b, v, c):
        f = torch.nn.functional
        h = f.max_pool2d(f.conv2d(x, w, b, padding=1).relu(), 2)
        z = h.reshape(4, -1) @ v + c
        loss = f.cross_entropy(z, torch.from_numpy(labels)) + z.std(correction=0) * (z.abs() + 0.1).sqrt().mean()
        return loss + z.clip(-0.5, 1).var(correction=0)

    mine = [Tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*other)
    np.testing.assert_allclose(y.item(), z.item(), rtol=1e-12)
    y.backward()
    z.backward()
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_single_operations_as_in_pytorch():
    torch = pytest.importorskip("torch")
    x = np.array([[0.5, 2.0, 2.0], [-1.0, 3.0, 0.25]])
    for ours, theirs in (
        (lambda t: t.max(axis=1), lambda t: t.amax(1)),
        (lambda t: t.min(), lambda t: t.amin()),
        (lambda t: t.clip(0.5, 2), lambda t: t.clip(0.5, 2)),
        (lambda t: F.maximum(t, 2.0), lambda t: torch.maximum(t, torch.tensor(2.0, dtype=t.dtype))),
        (lambda t: t[[0, 0], 1:], lambda t: t[[0, 0], 1:]),
        (lambda t: t[t > 1], lambda t: t[t > 1]),
        (lambda t: F.einsum("ij,kj->ik", t, t), lambda t: torch.einsum("ij,kj->ik", t, t)),
        (lambda t: F.where(t > 0, t.abs() ** 0.5, t), lambda t: torch.where(t > 0, t.abs() ** 0.5, t)),
        (lambda t: t.expand(2, -1, -1) * t, lambda t: t.expand(2, -1, -1) * t),
        (lambda t: 2**t, lambda t: 2**t),
        (lambda t: F.stack(t, t, axis=2).T, lambda t: torch.stack([t, t], 2).permute(2, 1, 0)),
    ):
        a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-12)
        dy = np.random.default_rng(1).standard_normal(y.shape)
        y.backward(dy)
        z.backward(torch.from_numpy(dy))
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-12)


def test_a_parameter_of_a_layer_is_a_tensor_too():
    layer = keras.layers.Dense(2)
    layer(np.ones((1, 3)))
    with no_grad():
        layer.kernel *= 0
    assert not layer.kernel.data.any() and isinstance(layer.kernel, type(layer.bias))
