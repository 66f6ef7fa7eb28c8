"""Models of graphs of layers: skip connections, several inputs, shared layers, models inside of models."""

import copy
import pickle
import weakref

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.autograd import Tensor, no_grad
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument

L = keras.layers


def residual(dtype="float32", seed=3):
    """Two blocks with skip connections, the second with a projection."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 2), dtype=dtype)
    x = L.Conv2D(4, 3, padding="same", activation="relu", dtype=dtype)(inputs)
    y = L.BatchNormalization(dtype=dtype)(L.Conv2D(4, 3, padding="same", dtype=dtype)(x))
    x = L.Activation("relu")(L.add([x, y]))
    y = L.Conv2D(6, 3, strides=2, padding="same", dtype=dtype)(x)
    x = L.add([L.Conv2D(6, 1, strides=2, dtype=dtype)(x), y])
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, L.Dense(3, activation="softmax", dtype=dtype)(x))


def by_hand(model, x):
    """What `residual` is, layer by layer."""
    conv, conv_1, conv_2, conv_3 = (model.get_layer(f"conv2d{n}") for n in ("", "_1", "_2", "_3"))
    x = conv(x)
    x = F.relu(x + model.get_layer("batch_normalization")(conv_1(x)))
    x = conv_3(x) + conv_2(x)
    return model.get_layer("dense")(F.mean(x, axis=(1, 2)))


def test_a_graph_is_its_layers(rng):
    model = residual()
    x = rng.standard_normal((5, 6, 6, 2)).astype(np.float32)
    expected = by_hand(model, Tensor(x)).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(model(x).numpy(), model.predict(x))
    np.testing.assert_array_equal(model.feature_maps(x)["dense"], model.predict(x))
    assert [layer.name for layer in model.layers] == [
        *("input_layer", "conv2d", "conv2d_1", "batch_normalization", "add", "activation", "conv2d_3", "conv2d_2"),
        *("add_1", "global_average_pooling2d", "dense"),
    ]  # Keras's order, found by its depth-first search


def test_gradients_go_all_ways(rng):
    """Those of a step are the sums over both ways round a block, by central differences of the loss."""
    model = residual("float64")
    x, y = rng.standard_normal((4, 6, 6, 2)), np.array([0, 1, 2, 0])

    def loss():
        p = model(x, training=True)
        return -F.mean(F.log(p[np.arange(4), y]))

    loss().backward()
    for w in model.trainable_variables:
        index = tuple(rng.integers(n) for n in w.shape)
        found, step = [], 1e-5
        for sign in (1, -1):
            w.data[index] += sign * step
            with no_grad():
                found.append(loss().item())
            w.data[index] -= sign * step
        assert abs(w.grad[index] - (found[0] - found[1]) / (2 * step)) < 1e-7


def test_steps_of_training_are_those_of_a_loop_by_hand(rng):
    x, y = rng.standard_normal((8, 6, 6, 2)), np.arange(8) % 3
    model, other = residual("float64"), residual("float64")
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    losses = model.fit(x, y, batch_size=8, epochs=5, verbose=0, shuffle=False).history["loss"]
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    for expected in losses:
        other.zero_grad()
        p = other(x, training=True)
        loss = -F.mean(F.log(p[np.arange(8), y]))
        loss.backward()
        optimizer.apply(other.trainable_weights)
        assert abs(loss.item() / expected - 1) < 1e-12
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_what_nobody_takes_any_more_is_freed():
    """Of a long chain with skip connections no more than a few results live at a time."""
    made, alive = [], []

    class Watched(L.Layer):
        def call(self, x):
            y = x * 1.0
            made.append(weakref.ref(y.values))
            alive.append(sum(ref() is not None for ref in made))
            return y

    x = inputs = keras.Input((3,))
    for _ in range(10):
        x = L.add([x, Watched()(Watched()(x))])
    model = keras.Model(inputs, x)
    made.clear(), alive.clear()
    assert model.predict(np.ones((2, 3))).tolist() == [[1024.0] * 3] * 2
    assert len(made) == 20 and max(alive) == 2


MERGED = {
    "Add": lambda a, b: a + b,
    "Subtract": lambda a, b: a - b,
    "Multiply": lambda a, b: a * b,
    "Average": lambda a, b: (a + b) / 2,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
}


@pytest.mark.parametrize("name", MERGED)
def test_elementwise_merging(name, rng):
    a, b = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 4, 3))
    for p, q in ((a, b), (a, b[:, :1]), (a[..., :1], b), (a, b[:, 0])):
        layer, twin = getattr(L, name)(dtype="float64"), getattr(L, name.lower())
        full = q[:, None] if q.ndim == 2 else q
        y = layer([p, q])
        np.testing.assert_allclose(y.numpy(), MERGED[name](p, full), rtol=1e-15)
        assert layer.output_shape == (None, *y.shape[1:])
        symbols = [keras.Input(t.shape[1:], dtype="float64") for t in (p, q)]
        model = keras.Model(symbols, twin(symbols))
        np.testing.assert_allclose(model.predict([p, q]), y.numpy(), rtol=1e-6)


def test_concatenation_and_products(rng):
    a, b, c = (rng.standard_normal((2, 4, n)) for n in (3, 2, 3))
    np.testing.assert_array_equal(L.Concatenate(dtype="float64")([a, b]).numpy(), np.concatenate([a, b], -1))
    np.testing.assert_array_equal(L.Concatenate(1, dtype="float64")([a, c]).numpy(), np.concatenate([a, c], 1))
    y = L.Dot((2, 2), dtype="float64")([a, c])
    np.testing.assert_allclose(y.numpy(), np.einsum("nij,nkj->nik", a, c))
    y = L.Dot(1, dtype="float64")([a, b])
    np.testing.assert_allclose(y.numpy(), np.einsum("nji,njk->nik", a, b))
    u, v = a[:, 0], c[:, 0]
    cosine = (u * v).sum(-1, keepdims=True) / np.linalg.norm(u, axis=-1)[:, None] / np.linalg.norm(v, axis=-1)[:, None]
    np.testing.assert_allclose(L.Dot(-1, normalize=True, dtype="float64")([u, v]).numpy(), cosine)
    assert L.dot([keras.Input((4, 3)), keras.Input((4, 3))], axes=(2, 2)).shape == (None, 4, 4)


def test_operators_make_layers(rng):
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], F.exp(-(a - 2 * b) / 3 + np.arange(3.0)) ** 2 + a[:, :1] + b.sum(axis=1, keepdims=True))
    x, y = rng.standard_normal((2, 4, 3)).astype(np.float32)
    expected = np.exp(-(x - 2 * y) / 3 + np.arange(3)) ** 2 + x[:, :1] + y.sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict([x, y]), expected, rtol=1e-5)
    assert [layer.name for layer in model.layers] == ["input_layer_1", "input_layer"]  # as Keras has it


def test_shared_layers(rng):
    dense = L.Dense(4)
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], L.subtract([dense(a), dense(b)]))
    x = rng.standard_normal((5, 3)).astype(np.float32)
    np.testing.assert_array_equal(model.predict([x, x]), np.zeros((5, 4), np.float32))
    assert model.count_params() == 16 and len(model.weights) == 2
    with pytest.raises(InvalidArgument, match="used in 2 places"):
        dense.output  # noqa: B018
    (model([x, -x]) ** 2).sum().backward()
    y = 2 * (x + 0 * x) @ dense.kernel.numpy()
    np.testing.assert_allclose(dense.kernel.grad, 2 * (x.T @ (2 * y)), rtol=1e-4)


def test_extractors_share_layers(rng):
    base = keras.Sequential([L.Conv2D(3, 3, input_shape=(6, 6, 1)), L.ReLU(name="maps"), L.Flatten(), L.Dense(2)])
    maps = keras.Model(base.inputs, base.get_layer("maps").output)
    x = rng.standard_normal((2, 6, 6, 1)).astype(np.float32)
    np.testing.assert_array_equal(maps.predict(x), base.feature_maps(x)["maps"])
    everything = keras.Model(base.input, [layer.output for layer in base.layers])
    assert [y.shape for y in everything.predict(x)] == [(2, 4, 4, 3), (2, 4, 4, 3), (2, 48), (2, 2)]
    head = keras.Model(base.get_layer("maps").output, base.output)
    np.testing.assert_array_equal(head.predict(maps.predict(x)), base.predict(x))
    base.layers[0].set_weights([np.zeros_like(w) for w in base.layers[0].get_weights()])
    assert not maps.predict(x).any()


def test_models_inside_of_models(rng, tmp_path):
    encoder = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="tanh"), L.Dropout(0.5)], name="encoder")
    inputs = keras.Input((4,))
    inner = keras.Model(inputs, L.add([encoder(inputs), L.Dense(3)(inputs)]), name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, L.Dense(2)])
    assert len(model.weights) == 6 and model.count_params() == 2 * 15 + 8
    x = rng.standard_normal((5, 4)).astype(np.float32)
    expected = model.layers[1](encoder(x) + inner.get_layer("dense")(x)).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-6)
    model.save_weights(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        assert "inner/encoder/dense/kernel" in file.files
    before = model.predict(x)
    encoder.trainable = False
    model.compile("sgd", "mse")
    kernel, other = encoder.layers[0].kernel.numpy().copy(), inner.get_layer("dense").kernel.numpy().copy()
    model.fit(x, np.ones((5, 2)), verbose=0)
    assert len(model.trainable_weights) == 4
    np.testing.assert_array_equal(encoder.layers[0].kernel.numpy(), kernel)
    assert not np.array_equal(inner.get_layer("dense").kernel.numpy(), other)
    model.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(model.predict(x), before)


def test_training_may_be_fixed_where_a_model_is_called():
    base = keras.Sequential([keras.Input((3,)), L.BatchNormalization(), L.Dropout(0.5)])
    inputs = keras.Input((3,))
    model = keras.Model(inputs, base(inputs, training=False))
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(x, training=True).numpy(), model.predict(x))
    model = keras.Model(inputs, base(inputs))
    assert not np.array_equal(model(x, training=True).numpy(), model.predict(x))


def test_a_chain_as_a_graph_has_the_bits_of_a_stack(rng):
    def layers():
        return [
            L.Conv2D(4, 3, padding="same"),
            L.Activation("relu"),
            L.BatchNormalization(),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(3, activation="softmax"),
        ]

    stack = keras.Sequential([keras.Input((6, 6, 1)), *layers()], seed=4)
    x = inputs = keras.Input((6, 6, 1))
    for layer in layers():
        x = layer(x)
    graph = keras.Model(inputs, x, seed=4)
    graph.set_weights(stack.get_weights())
    assert len(graph.passes.chains) == 1 and len(graph.passes.chains[0].steps) == len(stack.passes.chains[0].steps) == 4
    x, y = rng.standard_normal((10, 6, 6, 1)), np.arange(10) % 3
    for model in (stack, graph):
        model.generator().bit_generator.state = np.random.default_rng(1).bit_generator.state
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=2, verbose=0)
    for a, b in zip(stack.get_weights(), graph.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_copies_of_graphs(rng):
    model = residual()
    x = rng.standard_normal((2, 6, 6, 2)).astype(np.float32)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
        assert not {id(w) for w in other.weights} & {id(w) for w in model.weights}
        assert other.get_layer("dense").output is other.outputs[0]
    long = inputs = keras.Input((2,))
    for _ in range(400):
        long = long + 1
    assert copy.deepcopy(keras.Model(inputs, long)).predict(np.zeros((1, 2))).tolist() == [[400, 400]]


def test_weights_and_states_of_graphs(rng, tmp_path):
    model, other = residual(), residual(seed=5)
    x, y = rng.standard_normal((8, 6, 6, 2)), np.arange(8) % 3
    for m in (model, other):
        m.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    model.save_state(tmp_path / "s.npz")
    other.load_state(tmp_path / "s.npz")
    for m in (model, other):
        m.fit(x, y, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


ERRORS = {
    "not among the inputs": lambda a, b: keras.Model(a, L.add([a, b])),
    "expected symbolic tensors": lambda a, b: keras.Model(a, np.ones((2, 3))),
    "outputs is missing": lambda a, b: keras.Model(a),
    "takes 2 inputs .* but got 1": lambda a, b: keras.Model([a, b], L.add([a, b])).predict([np.ones((2, 3))]),
    "'b' is missing": lambda a, b: keras.Model({"a": a, "b": b}, L.add([a, b])).predict({"a": np.ones((2, 3))}),
    "cannot merge the shapes": lambda a, b: L.add([a, keras.Input((4,))]),
    "cannot concatenate the shapes": lambda a, b: L.Concatenate(1)([keras.Input((2, 3)), keras.Input((2, 4))]),
    "merges a list of at least 2 tensors but got one": lambda a, b: L.Add()(a),
    "merges a list of two tensors but got 3": lambda a, b: L.Subtract()([a, b, a]),
    "takes one tensor but got 2": lambda a, b: L.Dense(2)([a, b]),
    "leaves no axis for the samples": lambda a, b: F.sum(a),
    "has no numbers": lambda a, b: np.asarray(a),
    "neither trained nor saved": lambda a, b: a * L.Parameter("w", np.ones(3)),
    "has no input or output yet": lambda a, b: L.Dense(2).output,
}


@pytest.mark.parametrize("message", ERRORS)
def test_errors(message):
    with pytest.raises(InvalidArgument, match=message):
        ERRORS[message](keras.Input((3,)), keras.Input((3,)))


def two_by_two(outputs=list, seed=2, dtype="float64"):
    """Two inputs, and two outputs: classes and a number."""
    keras.utils.set_random_seed(seed)
    a, b = keras.Input((3,), name="a", dtype=dtype), keras.Input((2,), name="b", dtype=dtype)
    x = L.concatenate([a, L.Dense(3, activation="tanh", dtype=dtype)(b)])
    first = L.Dense(3, activation="softmax", name="cls", dtype=dtype)(x)
    second = L.Dense(1, name="reg", dtype=dtype)(x)
    return keras.Model([a, b], [first, second] if outputs is list else {"u": first, "v": second})


def data_for_two(rng, n=10):
    return [rng.standard_normal((n, 3)), rng.standard_normal((n, 2))], [np.arange(n) % 3, rng.standard_normal((n, 1))]


LOSSES = ["sparse_categorical_crossentropy", "mse"]


def test_several_inputs_and_outputs(rng):
    x, y = data_for_two(rng)
    model = two_by_two()
    model.compile(keras.optimizers.SGD(0.0), LOSSES, [["accuracy"], ["mae"]], loss_weights=[2.0, 0.5])
    history = model.fit(x, y, batch_size=4, verbose=0, validation_data=(x, y)).history
    p, q = model.predict(x)
    cls, reg = -np.log(p[np.arange(10), y[0]]).mean(), np.square(q - y[1]).mean()
    expected = {
        "loss": 2 * cls + 0.5 * reg,
        "cls_loss": cls,
        "reg_loss": reg,
        "cls_accuracy": (p.argmax(1) == y[0]).mean(),
        "reg_mae": np.abs(q - y[1]).mean(),
    }
    assert list(history) == [*expected, *(f"val_{name}" for name in expected)]
    for name, value in expected.items():
        assert history[name] == pytest.approx([value]) and history[f"val_{name}"] == pytest.approx([value])
    assert model.evaluate(x, y, verbose=0) == pytest.approx(list(expected.values()))
    assert model.train_on_batch(x, y) == pytest.approx(list(expected.values()))
    assert [r.shape for r in model.predict_on_batch(x)] == [(10, 3), (10, 1)]


def test_losses_are_minimised_together(rng):
    """A step changes weights by the sum of the losses' gradients."""
    x, y = data_for_two(rng)
    model, other = two_by_two(), two_by_two()
    model.compile(keras.optimizers.SGD(0.1), LOSSES, loss_weights=[1.0, 3.0])
    losses = model.fit(x, y, batch_size=10, epochs=4, shuffle=False, verbose=0).history["loss"]
    optimizer = keras.optimizers.SGD(0.1)
    for expected in losses:
        other.zero_grad()
        p, q = other(x, training=True)
        loss = -F.mean(F.log(p[np.arange(10), y[0]])) + 3 * F.mean((q - y[1]) ** 2)
        loss.backward()
        optimizer.apply(other.trainable_weights)
        assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_dicts_by_name(rng):
    x, y = data_for_two(rng)
    model = two_by_two(dict)
    model.compile("sgd", dict(zip("uv", LOSSES, strict=True)), {"u": "accuracy", "v": ["mae"]})
    inputs, labels = {"b": x[1], "a": x[0]}, {"v": y[1], "u": y[0]}
    history = model.fit(inputs, labels, verbose=0, validation_split=0.5).history
    assert [name for name in history if "val" not in name] == ["loss", "u_loss", "v_loss", "u_accuracy", "v_mae"]
    made = model.predict(inputs)
    assert list(made) == ["u", "v"]
    np.testing.assert_array_equal(made["u"], model.predict(x)["u"])
    lists = two_by_two()
    lists.compile("sgd", dict(zip(("cls", "reg"), LOSSES, strict=True)))
    lists.fit(x, {"reg": y[1], "cls": y[0]}, verbose=0)
    lists.compile("sgd", ["sparse_categorical_crossentropy", None])
    assert list(lists.fit(x, [y[0], None], verbose=0).history) == ["loss", "cls_loss"]
    lists.compile("sgd", LOSSES)
    weights = np.zeros(10)
    found = lists.evaluate(x, y, sample_weight=[np.ones(10), weights], return_dict=True, verbose=0)
    assert found["reg_loss"] == 0 and found["cls_loss"] > 0


TWO_ERRORS = {
    "loss holds 1 losses but there are 2 outputs, 'cls', 'reg'": lambda m, x, y: m.compile("sgd", ["mse"]),
    "loss has losses for 'x'; the outputs are": lambda m, x, y: m.compile("sgd", {"x": "mse"}),
    "y has no labels for the output 'reg'": lambda m, x, y: m.fit(x, {"cls": y[0]}, verbose=0),
    "y holds 1 labels but there are 2": lambda m, x, y: m.fit(x, y[:1], verbose=0),
    "takes 2 inputs .'a', 'b'. but got 1": lambda m, x, y: m.predict(x[:1]),
    "10, 9 rows": lambda m, x, y: m.predict([x[0], x[1][:9]]),
    "y..cls...0. is 7; labels must be": lambda m, x, y: m.fit(x, [y[0] + 7, y[1]], verbose=0),
    "holds samples of shape .4,. but the model takes .3,.": lambda m, x, y: m.predict([np.ones((10, 4)), x[1]]),
}


@pytest.mark.parametrize("message", TWO_ERRORS)
def test_errors_of_several(message, rng):
    model = two_by_two()
    model.compile("sgd", LOSSES)
    with pytest.raises(InvalidArgument, match=message):
        TWO_ERRORS[message](model, *data_for_two(rng))


def test_models_with_a_call_of_their_own(rng, tmp_path):
    class Block(L.Layer):
        def __init__(self, units):
            super().__init__()
            self.inner = [L.Dense(units), L.Dense(units)]

        def build(self, input_shape):
            self.gain = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return self.gain * self.inner[1](self.inner[0](x))

    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.block, self.head = Block(4), keras.Sequential([L.Dropout(0.5), L.Dense(1)])

        def call(self, inputs, training=False):
            left, right = inputs
            return self.head(L.add([self.block(left), right]), training=training)

    model = Pair()
    x, y = [rng.standard_normal((6, 3)), rng.standard_normal((6, 4))], np.ones((6, 1))
    model.compile("adam", "mse")
    losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and model.count_params() == 16 + 20 + 1 + 5 and len(model.trainable_variables) == 7
    assert [layer.name for layer in model.layers] == ["block", "sequential"]
    model.save_weights(tmp_path / "w.npz")
    other = Pair()
    other.build([(None, 3), (None, 4)])
    other.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    symbols = [keras.Input((3,)), keras.Input((4,))]
    np.testing.assert_array_equal(keras.Model(symbols, model(symbols)).predict(x), model.predict(x))
    model.summary(print_fn=str)

    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, x):
            y = self.dense(x)
            return {"sum": y[:, :1] + y[:, 1:], "both": y}

    model = Two()
    model.compile("sgd", {"sum": "mse", "both": "mae"})
    history = model.fit(x[0], {"sum": np.ones((6, 1)), "both": np.ones((6, 2))}, verbose=0).history
    assert list(history) == ["loss", "sum_loss", "both_loss"]
    assert {name: y.shape for name, y in model.predict(x[0]).items()} == {"sum": (6, 1), "both": (6, 2)}


def test_the_table_of_a_graph_says_what_is_connected():
    lines = []
    residual().summary(print_fn=lines.append)
    add = next(line for line in lines if line.startswith("add (Add)"))
    assert add.split()[-1] == "conv2d" and lines[lines.index(add) + 1].strip() == "batch_normalization"
    assert "Connected to" in lines[2] and "Connected to" not in "".join(_summary(keras.Sequential([keras.Input((2,))])))


def _summary(model):
    lines = []
    model.add(L.Dense(1))
    model.summary(print_fn=lines.append)
    return lines


def test_pictures_of_models(tmp_path):
    pytest.importorskip("matplotlib")
    model = residual()
    drawn = keras.utils.plot_model(model, tmp_path / "m.svg", show_shapes=True, show_layer_names=True)
    assert (tmp_path / "m.svg").read_text().count("<svg") == 1
    names = [vertex.lines[0].partition(" ")[0] for vertex in drawn.vertices]
    ways = {(names[a], names[b]) for a, b in drawn.edges}
    assert {("conv2d", "add"), ("batch_normalization", "add"), ("conv2d_3", "add_1"), ("conv2d_2", "add_1")} <= ways
    nested = keras.Sequential([keras.Input((6, 6, 2)), model], name="outer")
    assert len(keras.utils.plot_model(nested, None).vertices) == 2
    assert len(keras.utils.plot_model(nested, None, expand_nested=True).vertices) == 11
    with pytest.raises(InvalidArgument, match="made of inputs and outputs"):
        keras.utils.plot_model(L.Dense(2))


def test_a_training_step_as_for_keras_with_pytorch(rng):
    """The listing of Keras's guide: gradients from the variables, `apply`, metrics by hand."""

    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            loss.backward()
            variables = list(self.trainable_variables)
            self.optimizer.apply([v.value.grad for v in variables], variables)
            for metric in self.metrics:
                metric.update_state(loss.item()) if metric.name == "loss" else metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    def made(kind):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((3,))
        return kind(inputs, L.add([inputs, L.Dense(3)(inputs)]))

    x, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 3))
    own, plain = made(Own), made(keras.Model)
    for model in (own, plain):
        model.compile(keras.optimizers.SGD(0.1), "mse", ["mae"])
    histories = [model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history for model in (own, plain)]
    for name in ("loss", "mae"):
        assert histories[0][name] == pytest.approx(histories[1][name], rel=1e-6)
    loop = made(keras.Model)
    optimizer = keras.optimizers.SGD(0.1)
    for _ in range(3):
        loop.zero_grad()
        ((loop(x, training=True) - y.astype("float32")) ** 2).mean().backward()
        optimizer.apply_gradients(
            zip([v.grad for v in loop.trainable_variables], loop.trainable_variables, strict=True)
        )
    np.testing.assert_allclose(loop.get_weights()[0], plain.get_weights()[0], rtol=1e-5)
    loop.variables[1].assign(np.ones(3))
    assert loop.variables[1].numpy().tolist() == [1, 1, 1]
    with pytest.raises(InvalidArgument, match="has shape .3,. but was given"):
        loop.variables[1].assign(np.ones(4))
