"""Layers that compute in 16 bits, with weights of float32: dtypes, rounding, gradients, loss scales, files, memory."""

import json
import zipfile

import ml_dtypes
import numpy as np
import pytest

import fastconv as fc
from fastconv import nn as keras
from fastconv.autograd import Tensor
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument, MissingExtra, Unsupported
from fastconv.nn import policies

L = keras.layers
MIXED = ("mixed_bfloat16", "mixed_float16")
KINDS = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
EPS = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # of one rounding, relative
HALVES = list(KINDS)


@pytest.fixture(autouse=True)
def _policy_of_before():
    yield
    keras.mixed_precision.set_global_policy(None)
    keras.backend.set_floatx("float32")


def half_of(a, kind):
    """The numbers as 16 bits have them, in float64."""
    return np.asarray(a, np.float32).astype(KINDS[kind]).astype(np.float64)


def test_policies():
    policy = keras.mixed_precision.Policy("mixed_bfloat16")
    assert (policy.name, policy.compute_dtype, policy.variable_dtype) == ("mixed_bfloat16", "bfloat16", "float32")
    assert policy == keras.DTypePolicy("mixed_bfloat16") != keras.DTypePolicy("bfloat16")
    assert repr(policy) == '<DTypePolicy "mixed_bfloat16">'
    assert keras.DTypePolicy("float64").compute_dtype == "float64"
    keras.config.set_dtype_policy("mixed_float16")
    assert keras.mixed_precision.global_policy().name == "mixed_float16"
    layer, last = L.Dense(2), L.Dense(2, dtype="float32")
    assert (layer.compute_dtype, layer.variable_dtype, layer.dtype) == ("float16", "float32", "float32")
    assert last.dtype_policy.name == "float32"
    assert L.Dense(2, dtype=policy).compute_dtype == "bfloat16"
    keras.backend.clear_session()
    assert keras.config.dtype_policy().name == "float32"
    keras.backend.set_floatx("float64")
    assert L.Dense(2).dtype == keras.Input((3,)).dtype == "float64"


@pytest.mark.parametrize(
    "wrong", ["mixed_float8", "complex64", 3, np.zeros(2), "", "int8"], ids=lambda value: str(value)[:12]
)
def test_wrong_policies_are_told(wrong):
    with pytest.raises(InvalidArgument, match="mixed_bfloat16|floating"):
        keras.mixed_precision.set_global_policy(wrong)


def test_a_policy_of_weights_that_are_there_stays():
    layer = L.Dense(2, dtype="mixed_float16")
    layer(np.ones((1, 3)))
    layer.dtype_policy = "mixed_bfloat16"
    assert layer(np.ones((1, 3))).dtype == "bfloat16"
    with pytest.raises(InvalidArgument, match="make another layer"):
        layer.dtype_policy = "float16"


def test_without_the_package_bfloat16_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(MissingExtra, match="pip install"):
        keras.DTypePolicy("mixed_bfloat16")
    assert keras.DTypePolicy("mixed_float16").compute_dtype == "float16"


@pytest.mark.parametrize("kind", HALVES)
def test_products_are_summed_in_float32(rng, kind):
    a, b = rng.standard_normal((17, 301)), rng.standard_normal((301, 9))
    exact = half_of(a, kind) @ half_of(b, kind)
    bound = EPS[kind] * np.abs(exact) + 301 * 2.0**-23 * (np.abs(half_of(a, kind)) @ np.abs(half_of(b, kind)))
    a, b = a.astype(np.float32).astype(KINDS[kind]), b.astype(np.float32).astype(KINDS[kind])
    for ta, tb in ((False, False), (True, False), (False, True)):
        x, w = (np.ascontiguousarray(v.T) if turned else v for v, turned in ((a, ta), (b, tb)))
        y = fc.matmul(x, w, transpose_a=ta, transpose_b=tb)
        assert y.dtype == KINDS[kind]
        assert (np.abs(y.astype(np.float64) - exact) <= bound).all()
    assert fc.matmul(a[:, :0], b[:0], np.ones(9, KINDS[kind])).astype(float).tolist() == np.ones((17, 9)).tolist()


@pytest.mark.parametrize("kind", HALVES)
def test_operations_of_16_bits_round_once(rng, kind):
    """Sums of many ones, products with numbers, broadcasting: computed in float32, and of the dtype they came in."""
    ones = Tensor(np.ones((300, 40), KINDS[kind]), requires_grad=True)
    total = F.sum(ones, axis=1)
    assert total.dtype == KINDS[kind]
    assert (total.numpy().astype(float) == 40).all()
    assert float(F.mean(ones)) == 1
    y = F.multiply(F.add(ones, 0.5), Tensor(np.ones(40, KINDS[kind]), requires_grad=True))
    assert y.dtype == KINDS[kind]
    F.sum(y * 2.0).backward()
    assert ones.grad.dtype == KINDS[kind]
    assert (ones.grad.astype(float) == 2).all()
    for name in ("relu", "sigmoid", "gelu", "softmax", "exp", "absolute"):
        x = rng.standard_normal((5, 7)).astype(np.float32).astype(KINDS[kind])
        y, wide = getattr(F, name)(x), getattr(F, name)(x.astype(np.float64)).numpy()
        assert y.dtype == KINDS[kind]
        assert (np.abs(y.numpy().astype(np.float64) - wide) <= EPS[kind] * np.abs(wide) + 2.0**-25).all()


LAYERS = [
    (L.Dense(3, activation="gelu"), (2, 5)),
    (L.Conv2D(3, 3, padding="same", activation="relu"), (2, 6, 6, 4)),
    (L.SeparableConv2D(2, 3), (2, 6, 6, 4)),
    (L.BatchNormalization(), (2, 6, 6, 4)),
    (L.LayerNormalization(), (2, 5)),
    (L.GroupNormalization(2), (2, 6, 6, 4)),
    (L.UnitNormalization(), (2, 5)),
    (L.MaxPooling2D(), (2, 6, 6, 4)),
    (L.GlobalAveragePooling2D(), (2, 6, 6, 4)),
    (L.PReLU(), (2, 5)),
    (L.Softmax(), (2, 5)),
    (L.AlphaDropout(0.3), (2, 5)),
    (L.Normalization(mean=1.0, variance=2.0), (2, 5)),
    (L.Rescaling(0.5, offset=1.0), (2, 5)),
    (L.UpSampling2D(interpolation="bilinear"), (2, 6, 6, 4)),
]


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("layer, shape", LAYERS, ids=lambda v: type(v).__name__ if isinstance(v, L.Layer) else "")
def test_layers_compute_in_16_bits_and_give_gradients_of_float32(rng, policy, layer, shape):
    config = layer.get_config()
    mixed = type(layer).from_config({**config, "dtype": policy})
    kind = mixed.compute_dtype
    x = Tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True)
    y = mixed(x, training=True)
    assert y.dtype == kind
    assert mixed(keras.Input(shape[1:])).dtype == kind
    F.sum(F.astype(y, dtype="float32")).backward()
    assert all(w.dtype == np.float32 == w.grad.dtype for w in mixed.trainable_weights)
    assert x.grad.dtype == np.float32
    exact = type(layer).from_config({**config, "dtype": "float64"})
    given = half_of(x.data, kind)
    exact(given)
    exact.set_weights([half_of(w, kind) if "norm" not in mixed.name else w for w in mixed.get_weights()])
    wide = exact(given, training=False).numpy()
    error = np.abs(mixed(x, training=False).numpy().astype(np.float64) - wide)
    assert (error <= 4 * EPS[kind] * max(1.0, np.abs(wide).max())).all()


@pytest.mark.parametrize("policy", MIXED)
def test_small_steps_reach_the_weights(policy):
    """A step far below the spacing of 16-bit numbers at the weight changes it: what is kept is float32."""
    model = keras.Sequential([keras.Input((1,)), L.Dense(1, use_bias=False, dtype=policy)])
    model.set_weights([np.array([[1.0]])])
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    model.fit(np.ones((8, 1)), np.zeros((8, 1)), epochs=3, verbose=0)
    # the layer computes with the rounded weight, 1: each step is 1e-4 times the gradient 2
    np.testing.assert_allclose(model.get_weights()[0], [[1 - 3 * 2e-4]], rtol=1e-6)


def test_losses_and_metrics_are_of_float32(rng):
    """A loss of 16-bit outputs is that of the same outputs in float32, and the softmax that it holds is not rounded."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    x, y = rng.standard_normal((64, 4)).astype(np.float32), rng.integers(0, 3, 64)
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Activation("softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    w, b = (half_of(v, "bfloat16") for v in model.get_weights())
    logits = half_of(half_of(x, "bfloat16") @ w + b, "bfloat16")
    exact = np.log(np.exp(logits).sum(1)) - logits[np.arange(64), y]
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert abs(loss - exact.mean()) < 4 * EPS["bfloat16"] * np.abs(logits).max()
    assert accuracy == (logits.argmax(1) == y).mean()
    assert keras.losses.MeanSquaredError()(np.zeros(1000), np.full(1000, 0.1, ml_dtypes.bfloat16)) == pytest.approx(
        float(ml_dtypes.bfloat16(0.1)) ** 2, rel=1e-6
    )


def test_the_loss_scale_finds_its_size_by_itself():
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential([keras.Input((2,)), L.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    assert isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
    model.optimizer.dynamic_scale = 2.0**40  # gradients overflow
    before = model.get_weights()
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    assert model.optimizer.dynamic_scale == 2.0**39
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.optimizer.dynamic_scale = 2.0**10
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    np.testing.assert_allclose(model.get_weights()[0], 1 - 0.5 * 2 * (2 - 1) * np.ones((2, 1)), rtol=1e-3)
    model.compile("sgd", "mse", auto_scale_loss=False)
    assert not isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)


def test_gradients_that_float16_cannot_hold_survive_behind_the_scale():
    """The gradient to the weight is 2e-9, which float16 takes for 0; scaled by 2**15 it is not."""
    steps = {}
    for scaled in (True, False):
        model = keras.Sequential([keras.Input((1,)), L.Dense(1, use_bias=False, dtype="mixed_float16")])
        model.set_weights([np.array([[0.0]])])
        model.dtype_policy = "mixed_float16"
        model.compile(keras.optimizers.SGD(1.0), lambda y, p: (p - y) * 2e-9, auto_scale_loss=scaled)
        model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
        steps[scaled] = float(model.get_weights()[0][0, 0])
    assert steps[False] == 0
    np.testing.assert_allclose(steps[True], -2e-9, rtol=2e-3)


class Product(L.Layer):
    """A layer of one's own, which uses its weights as they are."""

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 3), "glorot_uniform", name="kernel")
        self.exact = self.add_weight((3,), "ones", name="exact", autocast=False)
        self.inner = L.Dense(3, dtype="float32")

    def call(self, x):
        y = x @ self.kernel
        self.seen = x.dtype.name, y.dtype.name, (self.exact * 1.0).dtype.name, self.inner(y).dtype.name
        return y * 2.0 + 1.0


@pytest.mark.parametrize("policy", MIXED)
def test_layers_and_models_of_ones_own(rng, policy):
    keras.config.set_dtype_policy(policy)
    half = policies.dtype_policy().compute_dtype

    class Own(keras.Model):
        def __init__(self):
            super().__init__(seed=1)
            self.first, self.product, self.last = L.Dense(4), Product(), L.Dense(1, dtype="float32")

        def call(self, x):
            return self.last(self.product(self.first(x)))

    x, y = rng.standard_normal((16, 5)), rng.standard_normal((16, 1))
    keras.utils.set_random_seed(1)
    model = Own()
    model.compile("sgd", "mse")
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]  # the first steps may overflow, and are left out
    assert losses[-1] < losses[0]
    assert model.product.seen == (half, half, "float32", "float32")
    assert {w.dtype.name for w in model.weights} == {"float32"}
    assert model.predict(x, verbose=0).dtype == np.float32


def test_graphs_convert_where_policies_meet(rng):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    a = L.Conv2D(4, 3, padding="same", dtype="mixed_bfloat16")(inputs)
    b = L.Conv2D(4, 3, padding="same", dtype="mixed_float16", activation="relu")(a)
    c = L.BatchNormalization(dtype="mixed_bfloat16")(L.Add(dtype="mixed_bfloat16")([a, b]))
    outputs = L.Dense(2, dtype="float32")(L.GlobalAveragePooling2D(dtype="float32")(c))
    assert [t.dtype.name for t in (inputs, a, b, c, outputs)] == [
        "float32", "bfloat16", "float16", "bfloat16", "float32",
    ]  # fmt: skip
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    x = rng.standard_normal((4, 6, 6, 2)).astype(np.float32)
    history = model.fit(x, np.ones((4, 2)), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    one_by_one = x
    for layer in (model.layers[1], model.layers[2]):
        one_by_one = layer(one_by_one)
    feature = keras.Model(inputs, b).predict(x, verbose=0)
    assert feature.dtype == np.float16
    np.testing.assert_array_equal(feature, one_by_one.numpy())


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16", "float16", "bfloat16"])
def test_files_keep_policies_weights_and_the_training(tmp_path, rng, name):
    keras.config.set_dtype_policy(name)
    keras.utils.set_random_seed(1)
    x, y = rng.standard_normal((16, 5)).astype(np.float32), rng.standard_normal((16, 2))
    model = keras.Sequential([keras.Input((5,)), L.Dense(4, activation="relu"), L.Dense(2)], seed=1)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.npz")
    keras.config.set_dtype_policy(None)
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        written = json.loads(file.read("config.json"))["config"]["layers"][1]["config"]["dtype"]
    assert written == {
        "module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None,
    }  # fmt: skip
    again = keras.models.load_model(tmp_path / "m.keras")
    assert [layer.dtype_policy.name for layer in (again, *again.layers)] == [name] * 3
    assert type(again.optimizer) is type(model.optimizer)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.train_on_batch(x, y) == model.train_on_batch(x, y)
    assert {a.dtype.name for a in np.load(tmp_path / "m.npz").values()} == {
        "float16" if name == "float16" else "float32"
    }
    again.load_weights(tmp_path / "m.npz")


def tape_bytes(y):
    """Bytes of what the gradients of y keep, each piece of memory once."""
    owners, nodes, seen = {}, [y._node], set()
    while nodes:
        node = nodes.pop()
        if node is None or node.id in seen:
            continue
        seen.add(node.id)
        nodes += node.parents
        waiting = list(node.saved)
        while waiting:
            value = waiting.pop()
            if isinstance(value, (tuple, list)):
                waiting += value
            elif isinstance(value, np.ndarray):
                owners[value.__array_interface__["data"][0]] = value.nbytes
    return sum(owners.values())


def test_what_the_tape_keeps_is_half_as_large(rng):
    kept = {}
    for policy in ("float32", *MIXED):
        keras.config.set_dtype_policy(policy)
        layers = [L.Conv2D(8, 3, padding="same", activation="relu"), L.AveragePooling2D(), L.Conv2D(8, 3), L.Flatten()]
        model = keras.Sequential([keras.Input((12, 12, 4)), *layers, L.Dense(10, activation="tanh"), L.Dense(1)])
        x = Tensor(rng.standard_normal((16, 12, 12, 4)).astype(np.float32))
        kept[policy] = tape_bytes(model(x, training=True))
    assert all(kept[policy] < 0.55 * kept["float32"] for policy in MIXED), kept


def test_a_gpu_is_refused():
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, dtype="mixed_bfloat16")])
    with pytest.raises(Unsupported, match="on the CPU only"):
        model.to("cuda")


@pytest.mark.slow
@pytest.mark.parametrize("policy", MIXED)
def test_a_network_learns_as_well_as_in_float32(policy):
    (x, y), (x_test, y_test) = keras.datasets.fashion_sketch.load_data(n_train=3000, n_test=1000)
    accuracy = {}
    for name in ("float32", policy):
        keras.config.set_dtype_policy(name)
        model = keras.zoo.mnist_cnn((28, 28, 1), 10, seed=1)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x[..., None] / 255.0, y, epochs=3, batch_size=64, verbose=0)
        accuracy[name] = model.evaluate(x_test[..., None] / 255.0, y_test, verbose=0)[1]
    assert accuracy["float32"] > 0.72, accuracy
    assert accuracy[policy] > accuracy["float32"] - 0.02, accuracy
