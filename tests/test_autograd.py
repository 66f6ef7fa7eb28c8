"""The tape: accumulation, order, freeing, recording; and that operations compute what they say."""

import threading

import numpy as np
import pytest

import fastconv as fc
from fastconv.autograd import Tensor, is_recording, no_grad
from fastconv.autograd import functional as F
from fastconv.autograd.tensor import PRIMITIVES
from fastconv.errors import InvalidArgument


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


def test_a_tensor_used_twice_gathers_both_gradients():
    x = leaf(3.0)
    (x * x + x).sum().backward()
    assert x.grad == 7.0


def test_diamond_is_visited_once_per_node():
    x = leaf(2.0)
    y = x * 3.0
    (y * y + y).sum().backward()
    assert x.grad == 3 * (2 * 6 + 1)


def test_gradients_add_up_over_calls():
    x = leaf(1.0, 2.0)
    (x * 2.0).sum().backward()
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_depth_is_not_limited_by_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y + 0.0
    y.sum().backward()
    assert x.grad == 1.0


def test_record_is_freed_unless_retained():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain=True)
    y.backward()
    assert x.grad == 8.0
    with pytest.raises(InvalidArgument, match="freed by an earlier backward"):
        y.backward()


def test_no_grad_records_nothing_and_is_left_on_errors():
    x = leaf(1.0)

    @no_grad()
    def fails():
        assert not (x * 2.0).requires_grad
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert is_recording()
    assert (x * 2.0).requires_grad


def test_no_grad_is_per_thread():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_recording()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_constants_get_no_gradient():
    x, c = leaf(2.0), Tensor(np.array([5.0]))
    (x * c).sum().backward()
    assert x.grad == 5.0
    assert c.grad is None


def test_detach_cuts_the_tape():
    x = leaf(2.0)
    y = (x * x).detach() * x
    y.sum().backward()
    assert x.grad == 4.0


def test_backward_with_a_given_gradient():
    x = leaf(1.0, 2.0)
    (x * x).backward([10.0, 100.0])
    assert x.grad.tolist() == [20.0, 400.0]


def test_backward_errors_say_what_to_do():
    x = leaf(1.0, 2.0)
    with pytest.raises(InvalidArgument, match="pass dy"):
        (x * 2.0).backward()
    with pytest.raises(InvalidArgument, match="dy has shape"):
        (x * 2.0).backward(np.ones(3))
    with pytest.raises(InvalidArgument, match="depends on nothing"):
        Tensor([1.0]).backward()
    with pytest.raises(InvalidArgument, match="floating-point"):
        Tensor([1], requires_grad=True)


def test_operators_and_numpy_meet():
    x = leaf(1.0, 2.0)
    array = np.array([3.0, 4.0])
    for result, expected in (
        (array + x, [4, 6]),
        (x - array, [-2, -2]),
        (array - x, [2, 2]),
        (x * array, [3, 8]),
        (array / x, [3, 2]),
        (x / 2, [0.5, 1]),
        (-x, [-1, -2]),
        (x**2, [1, 4]),
    ):
        assert isinstance(result, Tensor)
        assert result.numpy().tolist() == expected
    assert np.asarray(x).tolist() == [1.0, 2.0]
    assert len(x) == x.size == 2
    assert x.ndim == 1
    assert "requires_grad=True" in repr(x)
    assert x.mean().item() == 1.5


def test_float32_stays_float32():
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    y = F.log(F.exp(x * 2.0) + 1.0) / 3.0
    z = (y**2).mean()
    assert z.dtype == np.float32
    z.backward()
    assert x.grad.dtype == np.float32


def test_broadcast_gradient_keeps_the_shape_of_its_input():
    a, b = Tensor(np.ones((2, 1, 3)), requires_grad=True), Tensor(np.ones((4, 1)), requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.shape == (2, 1, 3)
    assert b.grad.shape == (4, 1)
    assert b.grad.sum() == 24


def test_operations_compute_what_numpy_does(rng):
    x = rng.standard_normal((3, 4))
    e = np.exp(x - x.max(axis=1, keepdims=True))
    softmax = e / e.sum(axis=1, keepdims=True)
    for result, expected in (
        (F.relu(x), np.maximum(x, 0)),
        (F.leaky_relu(x, slope=0.1), np.where(x > 0, x, 0.1 * x)),
        (F.sigmoid(x), 1 / (1 + np.exp(-x))),
        (F.tanh(x), np.tanh(x)),
        (F.softmax(x), softmax),
        (F.log_softmax(x), np.log(softmax)),
        (F.softmax(x, axis=0), F.softmax(x.T).numpy().T),
        (F.pad(x, widths=((1, 0), (0, 2)), value=7.0), np.pad(x, ((1, 0), (0, 2)), constant_values=7.0)),
        (F.concatenate(x, x, axis=0), np.concatenate([x, x])),
        (F.softmax_cross_entropy(x, target=softmax), -(softmax * np.log(softmax)).sum() / 3),
        (F.categorical_cross_entropy(2 * softmax, target=softmax), -(softmax * np.log(softmax)).sum() / 3),
        (F.mean_squared_error(x, target=x + 2), 4.0),
        (F.mean_absolute_error(x, target=x + 2), 2.0),
        (F.penalty(x, l1=2.0, l2=3.0), 2 * np.abs(x).sum() + 3 * (x * x).sum()),
    ):
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_extreme_logits_do_not_overflow():
    z = Tensor(np.array([[1e4, 0.0], [-1e4, 0.0]], np.float32), requires_grad=True)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss = F.softmax_cross_entropy(z, target=np.array([[1, 0], [1, 0]], np.float32))
        loss.backward()
        assert F.sigmoid(z.data).numpy()[0, 0] == 1
    assert loss.item() == 5000
    np.testing.assert_array_equal(z.grad, [[0, 0], [-0.5, 0.5]])
    loss = F.binary_cross_entropy(z, target=np.ones((2, 2)), from_logits=True)
    assert np.isfinite(loss.item())


def test_nan_reaches_what_it_touches_and_nothing_else():
    x = np.array([[np.nan, 1.0], [2.0, -3.0]])
    for f in (F.relu, F.tanh, F.sigmoid, F.leaky_relu):
        assert np.isnan(f(x).numpy()).tolist() == [[True, False], [False, False]]
    assert np.isnan(F.softmax(x).numpy()).tolist() == [[True, True], [False, False]]
    y = F.batch_norm(x, np.ones(2), np.zeros(2)).numpy()
    assert np.isnan(y).tolist() == [[True, False], [True, False]]


def test_dropout_mask_follows_from_seed_and_place(rng):
    x = np.ones((40, 1000), np.float32)
    y = F.dropout(x, rate=0.3, seed=5).numpy()
    assert np.array_equal(y, F.dropout(x, rate=0.3, seed=5).numpy())
    assert not np.array_equal(y, F.dropout(x, rate=0.3, seed=6).numpy())
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.01
    kept = (y != 0).astype(float) - 0.7  # neither neighbours nor rows go together
    assert abs((kept[:, 1:] * kept[:, :-1]).mean()) < 0.01
    assert abs((kept[1:] * kept[:-1]).mean()) < 0.01
    assert np.array_equal(F.dropout(x, rate=0.0, seed=5).numpy(), x)
    with pytest.raises(InvalidArgument, match="rate is 1"):
        F.dropout(x, rate=1, seed=5)


def test_batch_norm_moves_its_running_statistics(rng):
    x = (rng.standard_normal((64, 3)) * 5 + 100).astype(np.float32)
    mean, var = np.zeros(3, np.float32), np.ones(3, np.float32)
    F.batch_norm(x, np.ones(3), np.zeros(3), running=(mean, var), momentum=0.75)
    np.testing.assert_allclose(mean, 0.25 * x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(var, 0.75 + 0.25 * x.var(axis=0), rtol=1e-4)


@pytest.mark.parametrize("shape", [(7, 3), (5, 4, 6, 1), (3, 9, 8, 10), (2, 33, 31, 20), (2, 3, 300), (600, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_is_accurate_far_from_zero(shape, dtype, rng):
    """A mean a thousand times the spread: a naive sum of squares would lose six digits."""
    for axis in (-1, 1):
        x = (rng.standard_normal(shape) + 1000).astype(dtype)
        y = F.batch_norm(x, np.ones(shape[axis]), np.zeros(shape[axis]), epsilon=0.0, axis=axis).numpy()
        axes = tuple(a for a in range(len(shape)) if a != axis % len(shape))
        exact = x.astype(np.float64)
        expected = (exact - exact.mean(axis=axes, keepdims=True)) / exact.std(axis=axes, keepdims=True)
        np.testing.assert_allclose(y, expected, atol=1e-3 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("relu", [False, True])
def test_relu_in_batch_norm_is_relu_then_batch_norm(relu, rng):
    x, gamma, beta = rng.standard_normal((6, 5, 5, 12)), rng.standard_normal(12), rng.standard_normal(12)
    fused, apart = Tensor(x, requires_grad=True), Tensor(x, requires_grad=True)
    y = F.batch_norm(fused, gamma, beta, relu=relu)
    z = F.batch_norm(F.relu(apart) if relu else apart, gamma, beta)
    dy = rng.standard_normal(x.shape)
    y.backward(dy)
    z.backward(dy)
    np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fused.grad, apart.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3, 10, 32, 100, 300])
@pytest.mark.parametrize("axis", [1, -1])
def test_channel_sums(channels, axis, rng):
    from fastconv.ops.elementwise import activation_grad, channel_sum

    for inner in (1, 5, 40, 9000 // channels):
        shape = (3, inner, channels) if axis == -1 else (3, channels, inner)
        x = rng.standard_normal(shape).astype(np.float32)
        axes = (0, 1) if axis == -1 else (0, 2)
        np.testing.assert_allclose(channel_sum(x, axis), x.sum(axis=axes, dtype=np.float64), rtol=1e-5, atol=1e-4)
        y = rng.standard_normal(shape).astype(np.float32)
        dz, db = activation_grad(x, y, "relu", axis)
        np.testing.assert_array_equal(dz, np.where(y > 0, x, 0))
        np.testing.assert_allclose(db, dz.sum(axis=axes, dtype=np.float64), rtol=1e-5, atol=1e-4)


def test_bits_do_not_depend_on_the_number_of_threads(rng):
    x = Tensor(rng.standard_normal((16, 30, 30, 20)).astype(np.float32), requires_grad=True)
    results = []
    for n in (1, 2, 3):
        with fc.threads(n):
            x.grad = None
            gamma = Tensor(np.ones(20, np.float32), requires_grad=True)
            y = F.dropout(F.batch_norm(F.relu(x), gamma, np.zeros(20, np.float32)), rate=0.5, seed=1)
            b = Tensor(np.ones(20, np.float32), requires_grad=True)
            (F.bias_add(y, b) ** 2).mean().backward()
            results.append([y.numpy().tobytes(), x.grad.tobytes(), gamma.grad.tobytes(), b.grad.tobytes()])
    assert results[0] == results[1] == results[2]


def test_empty_batches_pass_through():
    x = Tensor(np.zeros((0, 4, 4, 3), np.float32), requires_grad=True)
    y = F.dropout(F.relu(x), rate=0.5, seed=0)
    y.backward(np.zeros(y.shape))
    assert x.grad.shape == (0, 4, 4, 3)
    assert F.softmax(np.zeros((0, 3))).shape == (0, 3)
    assert F.batch_norm(x, np.ones(3), np.zeros(3)).shape == (0, 4, 4, 3)


def test_inputs_of_any_layout_and_dtype(rng):
    x = rng.standard_normal((6, 8))
    x.setflags(write=False)
    np.testing.assert_array_equal(F.relu(x[::2, ::-1]).numpy(), np.maximum(x[::2, ::-1], 0))
    assert F.relu(x.astype(np.float16)).dtype == np.float16
    with pytest.raises(InvalidArgument, match="complex"):
        F.relu(x.astype(complex))
    with pytest.raises(InvalidArgument, match="slope"):
        F.leaky_relu(x, slope=0)


def test_unknown_gradient_of_an_activation_is_refused():
    from numba import njit

    x = Tensor(np.ones((1, 1, 3, 3)), requires_grad=True)
    y = F.conv2d(x, np.ones((1, 1, 2, 2)), activation=njit(lambda v: v + 1))
    with pytest.raises(InvalidArgument, match="gradient of activation"):
        y.backward(np.ones(y.shape))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_relu_before_a_max_pool_may_come_with_it(layout, rng):
    """Both ways as one by one; the bias that x holds gets the sums of x's gradient."""
    x, axis = rng.standard_normal((2, 5, 6, 7)) - 1.0, 3 if layout == "NHWC" else 1
    x[0, 1, 2, 3] = np.nan
    options = {"size": 3, "stride": 2, "padding": 1, "layout": layout}
    together, apart, bias = (Tensor(v, requires_grad=True) for v in (x, x, np.zeros(x.shape[axis])))
    y, right = F.relu_max_pool2d(together, bias, **options), F.max_pool2d(F.relu(apart), **options)
    np.testing.assert_array_equal(y.numpy(), right.numpy())
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    right.backward(dy)
    np.testing.assert_array_equal(together.grad, apart.grad)
    np.testing.assert_allclose(bias.grad, together.grad.sum(axis=tuple({0, 1, 2, 3} - {axis})), rtol=1e-12)
    with no_grad():
        np.testing.assert_array_equal(F.relu_max_pool2d(x, **options).numpy(), right.numpy())


def test_dense_names_the_shapes():
    with pytest.raises(InvalidArgument, match="x has 3 features"):
        F.dense(np.ones((2, 3)), np.ones((4, 5)))


def test_primitives_carry_their_documentation():
    assert all(p.__doc__ for p in PRIMITIVES.values())


def test_shapes_that_do_not_fit_are_refused_before_a_kernel_reads_past_the_end():
    from fastconv.ops import updates
    from fastconv.ops.elementwise import activation_grad

    x = np.ones((4, 3), np.float32)
    with pytest.raises(InvalidArgument, match="shapes differ"):
        F.softmax_cross_entropy(x, target=np.ones((4, 2), np.float32))
    with pytest.raises(InvalidArgument, match="shapes differ"):
        activation_grad(x, x[:2], "relu")
    with pytest.raises(InvalidArgument, match="gamma has shape"):
        F.batch_norm(x, np.ones(2), np.zeros(3))
    with pytest.raises(InvalidArgument, match="one shape and dtype"):
        updates.together("momentum", [(x, x[:2], x)], (0.1, 0.9))


def test_targets_may_be_numbers_of_classes():
    z = np.random.default_rng(0).standard_normal((4, 3))
    labels = np.array([0, 2, 1, 1], np.uint8)
    a, b = (Tensor(z, requires_grad=True) for _ in range(2))
    for tensor, target in ((a, labels), (b, np.eye(3)[labels])):
        loss = F.softmax_cross_entropy(tensor, target)
        loss.backward()
    np.testing.assert_array_equal(a.grad, b.grad)
    with pytest.raises(InvalidArgument, match="classes from 0 to 2 but z has 2 columns: expected 0 to 1"):
        F.softmax_cross_entropy(z[:, :2], labels)
    with pytest.raises(InvalidArgument, match="from -1 to"):
        F.softmax_cross_entropy(z, labels.astype(int) - 1)
