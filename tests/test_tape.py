"""What the tape keeps and what it gives: operands changed in between, gradients of one's own, comparisons, options."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn as keras
from fastconv.autograd import PRIMITIVES, VJPS, Tensor, no_grad, primitive, undisturbed
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


# --- operands that change between forward and backward


def test_a_product_remembers_its_operands():
    a, b = np.ones((2, 2)), np.ones((2, 2))
    x, w = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    y = F.matmul(x, w).sum()
    b[...] = 50
    x.data[...] = 7
    y.backward()
    assert x.grad.tolist() == [[2, 2], [2, 2]]
    assert w.grad.tolist() == [[2, 2], [2, 2]]


def test_an_optimizer_step_in_between(rng):
    """The loss is linear in w: its gradient to x is w as it was, w - 1 flipped after the step."""
    x = Tensor(rng.standard_normal((1, 1, 4, 4)), requires_grad=True)
    w = Tensor(np.ones((1, 1, 3, 3)), requires_grad=True)
    first = F.conv2d(x, w)
    other = (w * w).sum()
    other.backward()
    keras.optimizers.SGD(0.5).apply([w])
    assert (w.data == 0).all()
    first.sum().backward()
    assert x.grad.sum() == 4 * 9


OPERATIONS = {
    "multiply": lambda x, c: x * c,
    "divide": lambda x, c: c / x,
    "power": lambda x, c: x**3,
    "log": lambda x, c: F.log(x),
    "absolute": lambda x, c: F.absolute(x),
    "reshape, then square": lambda x, c: x.reshape(-1) * x.reshape(-1),
    "transposed": lambda x, c: F.transpose(x, (1, 0)) ** 2,
    "a part": lambda x, c: x[1:] * x[1:],
    "dense": lambda x, c: F.dense(x, Tensor(c, requires_grad=True)),
    "batch norm": lambda x, c: F.batch_norm(x, c[0], c[1]) ** 2,
    "not fused": lambda x, c: F.matmul(F.relu(x), c),
    "target": lambda x, c: F.categorical_cross_entropy(F.softmax(x), target=c),
    "logits' target": lambda x, c: F.softmax_cross_entropy(x, target=c),
    "binary target": lambda x, c: F.binary_cross_entropy(F.sigmoid(x), c),
    "lp_pool": lambda x, c: F.lp_pool2d(x.reshape(1, 1, 3, 3), 2, p=3.0),
    "convolution": lambda x, c: F.conv2d(x.reshape(1, 1, 3, 3), c[:2, :2].reshape(1, 1, 2, 2)),
    "transposed convolution": lambda x, c: F.conv_transpose2d(x.reshape(1, 1, 3, 3), c[:2, :2].reshape(1, 1, 2, 2)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_are_those_of_the_values_that_were_there(name, rng):
    values, constant = rng.random((3, 3)) + 0.5, rng.random((3, 3)) + 0.5

    def gradient(spoiled):
        a, c = values.copy(), constant.copy()
        x = Tensor(a, requires_grad=True)
        y = OPERATIONS[name](x, c).sum()
        if spoiled:
            a[...], c[...] = -9, 11
        y.backward()
        return x.grad

    assert np.array_equal(gradient(True), gradient(False))


def test_indices_may_change():
    index, x = [0, 0], leaf(1.0, 2.0)
    y = x[index].sum()
    index[1] = 1
    y.backward()
    assert x.grad.tolist() == [2, 0]


def test_results_are_lent_for_reading_only():
    x = leaf(1.0, 2.0)
    h = F.exp(x)
    for array in (h.data, h.numpy(), np.asarray(h), h.detach().data):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert np.shares_memory(h.data, h.numpy())
    with no_grad():
        F.exp(x).data[...] = 0
    x.data[...] = 0
    h.sum().backward()
    np.testing.assert_allclose(x.grad, np.exp([1.0, 2.0]))


def test_a_result_may_be_given_other_values():
    x, array = leaf(1.0, 2.0), np.array([3.0, 4.0])
    h = x * 5.0
    h.data = array
    y = (h * h).sum()
    array[...] = 0
    y.backward()
    assert x.grad.tolist() == [30, 40]


def test_a_step_on_what_is_lent_is_refused():
    h = F.exp(leaf(1.0, 2.0))
    w = Tensor(h.data, requires_grad=True)
    (w * w).sum().backward()
    with pytest.raises(InvalidArgument, match="read-only; pass a copy"):
        keras.optimizers.SGD(0.1).apply([w])


def test_who_promises_and_breaks_it_is_told():
    w = leaf(1.0, 2.0)
    with undisturbed():
        y = (w * w).sum()
    with no_grad():
        w -= 1
    with pytest.raises(InvalidArgument, match=r"operand 0 of 'multiply' of shape \(2,\) was changed in place"):
        y.backward()
    with undisturbed():
        y = (w * w).sum()
    y.backward(retain=True)
    keras.optimizers.SGD(0.5).apply([w])
    with pytest.raises(InvalidArgument, match="'multiply' .* call backward"):
        y.backward()
    w.data = np.array([3.0, 4.0])
    with undisturbed():
        sums, products = (w + 1).sum(), (w * w).sum()
    w.data = np.array([7.0, 7.0])  # another array: the old one is what it was
    w.zero_grad()
    sums.backward()
    products.backward()
    assert w.grad.tolist() == [7, 9]
    layer = keras.layers.Dense(1)
    layer(np.ones((1, 2)))
    with undisturbed():
        y = (layer.kernel * layer.kernel).sum()
    layer.set_weights([np.ones((2, 1)), np.ones(1)])
    with pytest.raises(InvalidArgument, match="'kernel', of shape"):
        y.backward()


def test_nothing_is_copied_where_nobody_interferes():
    x = leaf(1.0, 2.0)
    with undisturbed():
        assert (x * x)._node.saved[0] is x.data
    assert (x * x)._node.saved[0] is not x.data


# --- gradients of one's own


def test_two_leaves_have_two_gradients():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dy = np.ones(2)
    (a + b).backward(dy)
    a.grad *= 5
    assert b.grad.tolist() == [1, 1]
    assert dy.tolist() == [1, 1]


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.reshape(2, 1),
        lambda x: x.sum(keepdims=True),
        lambda x: x.mean(keepdims=True),
        lambda x: x + 0.0,
        lambda x: x - 0.0,
        lambda x: F.transpose(x, (0,)),
        lambda x: F.concatenate(x, x),
        lambda x: F.pad(x, ((0, 0),)),
        lambda x: x,
    ],
)
def test_gradients_are_writable_and_nobody_elses(operation):
    x = leaf(1.0, 2.0)
    y = operation(x)
    dy = np.ones(y.shape)
    y.backward(dy)
    assert not np.shares_memory(x.grad, dy)
    x.grad += 1
    assert (dy == 1).all()


def test_the_gradient_of_a_number_is_an_array():
    x = Tensor(2.0, requires_grad=True)
    (x * x + x).backward()
    assert isinstance(x.grad, np.ndarray) and x.grad == 5
    (x * 1.0).backward()
    assert isinstance(x.grad, np.ndarray) and x.grad == 6


def test_a_gradient_that_is_an_operand_is_copied():
    @primitive
    def lends(x):
        return x * 1.0, (x,)

    lends.vjp(lambda dy, needs, x: (x,))
    x = leaf(1.0, 2.0)
    y = lends(x)
    y.backward(np.ones(2), retain=True)
    x.grad += 1
    y.backward(np.ones(2))
    assert x.grad.tolist() == [3.0, 5.0]
    del PRIMITIVES["lends"], VJPS["lends"]


# --- comparisons


def test_comparisons_are_elementwise():
    x, y = Tensor([1.0, 2.0, 3.0], requires_grad=True), np.array([1, 5, 2])
    for result, expected in (
        (x == y, [True, False, False]),
        (x != y, [False, True, True]),
        (x < y, [False, True, False]),
        (x <= Tensor(y), [True, True, False]),
        (x > 2, [False, False, True]),
        (x <= 2, [True, True, False]),
        (y == x, [True, False, False]),
        ((x > 1) & (x < 3), [False, True, False]),
        ((x == 1) | (x == 3), [True, False, True]),
        (~(x == 1), [False, True, True]),
    ):
        assert isinstance(result, Tensor) and not result.requires_grad
        assert result.numpy().tolist() == expected


def test_a_tensor_is_itself_as_a_key_and_has_no_truth_of_its_own():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert [float(part.item()) for part in x] == [1.0, 2.0]
    with pytest.raises(TypeError):
        list(Tensor(1.0))
    assert len({x, y}) == 2 and {x: 1}[x] == 1
    assert x in [x, y]
    assert Tensor([3.0]) == 3
    assert not Tensor(0.0)
    with pytest.raises(InvalidArgument, match="neither true nor false"):
        bool(x == y)


def test_a_masked_loss():
    """Where y is -1 nothing is to be learned: the mean of 1 and 1.5**2 alone is 1.625."""
    y, p = Tensor([1.0, -1.0, 0.5]), Tensor([0.0, 5.0, 2.0], requires_grad=True)
    mask = y != -1
    loss = ((p - y) ** 2 * mask).sum() / mask.sum()
    assert loss.item() == 1.625
    loss.backward()
    assert p.grad.tolist() == [-1.0, 0.0, 1.5]
    p.grad = None
    ((p - y) ** 2)[mask].mean().backward()
    assert p.grad.tolist() == [-1.0, 0.0, 1.5]
    weights = 1 + 3 * (y == 1)
    assert (weights * p).sum().item() == 7
    assert (p * (1 - mask)).sum().item() == 5


# --- how operations are called


def test_options_by_place_and_inputs_by_name(rng):
    x, w, b = rng.random((1, 1, 4, 4)), rng.random((2, 1, 3, 3)), Tensor(np.zeros(2), requires_grad=True)
    np.testing.assert_array_equal(F.max_pool2d(x, 2).data, fc.max_pool2d(x, 2))
    np.testing.assert_array_equal(F.avg_pool2d(x, 2).data, fc.avg_pool2d(x, 2))
    np.testing.assert_array_equal(F.lp_pool2d(x, 2).data, fc.lp_pool2d(x, 2))
    np.testing.assert_array_equal(F.adaptive_max_pool2d(x, 3).data, fc.adaptive_max_pool2d(x, 3))
    np.testing.assert_array_equal(F.reshape(x, (4, 4)).data, x[0, 0])
    np.testing.assert_array_equal(F.sum(x, 3).data, x.sum(3))
    np.testing.assert_array_equal(F.power(x, 2).data, x**2)
    assert F.mean_squared_error(x, x).item() == 0
    F.conv2d(x, w, b=b).sum().backward()
    assert b.grad.tolist() == [4, 4], "a bias given by name gets its gradient"
    assert F.concatenate([b, b]).shape == (4,)
    assert F.matmul(b=np.ones((2, 1)), a=np.ones((1, 2))).item() == 2


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda x: F.max_pool2d(x, 2, 2), InvalidArgument, "max_pool2d got 3 arguments; it takes x, size by place"),
        (lambda x: F.max_pool2d(x, 2, size=2), InvalidArgument, "size twice"),
        (lambda x: F.matmul(x, x, a=x), InvalidArgument, "a twice"),
        (lambda x: F.max_pool2d(x), TypeError, r"max_pool2d\(\) missing .* 'size'"),
        (
            lambda x: F.softmax_cross_entropy(x, Tensor(x, requires_grad=True)),
            InvalidArgument,
            "the option 'target' of softmax",
        ),
        (lambda x: F.matmul(np.ones((1, 2)), [[leaf(1.0)], [2.0]]), InvalidArgument, "a list given to matmul"),
        (lambda x: Tensor(np.ma.array([1.0, 2.0], mask=[0, 1])), InvalidArgument, "masked array"),
        (lambda x: F.bias_add(x, leaf(1.0)), InvalidArgument, r"b has shape \(1,\); expected \(4,\)"),
        (lambda x: F.mean_squared_error(np.zeros((3, 1)), np.zeros(3)), InvalidArgument, r"target has shape \(3,\)"),
        (lambda x: F.binary_cross_entropy(np.ones((3, 1)), target=np.zeros(3)), InvalidArgument, "target has shape"),
        (lambda x: F.categorical_cross_entropy(np.ones((3, 3)), np.zeros(3)), InvalidArgument, "target has shape"),
    ],
)
def test_wrong_calls_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((1, 1, 4, 4)))


def test_an_operation_without_a_gradient():
    @primitive
    def halves(x):
        return x / 2, ()

    x = leaf(2.0)
    y = halves(x)
    with pytest.raises(InvalidArgument, match="'halves' has no gradient; give it one with @halves.vjp"):
        y.backward()
    halves.vjp(lambda dy, needs: dy / 2)
    with pytest.raises(InvalidArgument, match="must be a tuple of 1, .* returned a ndarray"):
        y.backward()
    halves.vjp(lambda dy, needs: (dy / 2, dy))
    with pytest.raises(InvalidArgument, match="must be a tuple of 1, .* returned 2"):
        y.backward()
    halves.vjp(lambda dy, needs: (dy / 2,))
    y.backward()
    assert x.grad.tolist() == [0.5]
    del PRIMITIVES["halves"], VJPS["halves"]
