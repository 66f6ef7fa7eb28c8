"""A model is its layers as they are now: plans, copies, layers inside of layers, freezing, shared layers."""

import copy
import pickle

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.autograd import Tensor, no_grad
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument

L = keras.layers
X = np.random.default_rng(3).random((16, 6)).astype(np.float32)
Y = X[:, :3] - X[:, 3:]


def dense(x, layer, activation=lambda z: z):
    kernel, bias = layer.get_weights()
    return activation(x.astype(np.float64) @ kernel + bias)


def relu(z):
    return np.maximum(z, 0)


def tiny(optimizer=None, seed=1, **options):
    model = keras.Sequential([L.Dense(8, activation="relu", input_dim=6), L.Dense(3, **options)], seed=seed)
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def expected(model, x=X):
    """The result, in float64 and layer by layer."""
    for layer in model.layers:
        activation = {"relu": relu, "linear": lambda z: z, "tanh": np.tanh}[layer.activation.__name__]
        x = dense(x, layer, activation)
    return x


def assert_all_agree(model, right, y=None):
    """Whatever runs the layers, it runs those that are there."""
    np.testing.assert_allclose(model.predict(X), right, atol=1e-5)
    np.testing.assert_allclose(model(X).numpy(), right, atol=1e-5)
    np.testing.assert_allclose(list(model.feature_maps(X).values())[-1], right, atol=1e-5)
    y = np.zeros_like(right) if y is None else y
    loss = np.square(right - y).mean()
    assert abs(model.evaluate(X, y) - loss) < 1e-5 * max(1, loss)
    assert abs(model.train_on_batch(X, y) - loss) < 1e-5 * max(1, loss)


# --- plans


CHANGES = {
    "activation": lambda m: setattr(m.layers[-1], "activation", keras.activations.tanh),
    "fused activation": lambda m: setattr(m.layers[0], "activation", keras.activations.tanh),
    "pop": lambda m: m.pop(),
    "list pop": lambda m: m.layers.pop(),
    "other first": lambda m: m.layers.__setitem__(0, L.Dense(6, activation="tanh")),
    "other last": lambda m: m.layers.__setitem__(1, L.Dense(5)),
    "appended": lambda m: m.layers.append(L.Dense(4, name="more")),
    "added": lambda m: m.add(L.Dense(4)),
    "other list": lambda m: setattr(m, "layers", [L.Dense(2, activation="relu")]),
    "reversed": lambda m: m.layers.reverse(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("use", ["predict", "fit"])
def test_a_change_of_the_layers_is_seen_at_once(use, change):
    model = keras.Sequential([L.Dense(6, activation="relu", input_dim=6), L.Dense(6)], seed=1)
    model.compile("sgd", "mse")
    model.predict(X) if use == "predict" else model.fit(X, np.zeros((16, 6)), verbose=0)
    CHANGES[change](model)
    model.build((None, 6))
    assert_all_agree(model, expected(model))
    assert model.output_shape == (None, model.predict(X).shape[1])


def test_a_layer_that_does_not_fit_where_it_is_put_is_refused():
    model = tiny()
    model.predict(X)
    model.layers[0] = L.Dense(5)
    with pytest.raises(
        InvalidArgument, match=r"'dense_1' was built for inputs \(None, 8\) and cannot take \(None, 5\)"
    ):
        model.predict(X)
    model.layers[1] = L.Dense(3, name="last")
    model.build()
    assert_all_agree(model, expected(model))


def test_image_layers_take_the_shapes_of_their_new_place(rng):
    model = keras.Sequential([L.Conv2D(2, 3, input_shape=(8, 8, 1)), L.MaxPooling2D(2)], seed=1)
    x = rng.random((2, 8, 8, 1))
    assert model.predict(x).shape == (2, 3, 3, 2)
    model.layers.insert(0, L.ZeroPadding2D(2, name="border"))
    model.build((None, 8, 8, 1))
    assert model.output_shape == (None, 5, 5, 2)
    assert model.predict(x).shape == (2, 5, 5, 2)


def test_an_input_says_the_shape_and_what_is_no_layer_is_refused():
    model = keras.Sequential([keras.Input((6,)), L.Dense(3, input_dim=5)])
    assert model.input_shape == (None, 6) and model.predict(X).shape == (16, 3)
    model.layers.append(keras.activations.relu)
    with pytest.raises(InvalidArgument, match="the model's layers hold <function relu .* which is no layer"):
        model.predict(X)


def test_a_subclass_with_a_call_of_its_own_is_called():
    """Fused steps compute what the library's layers do, and nobody else's."""

    class Doubled(L.Dense):
        def call(self, x, training=False):
            return super().call(x) * 2

    class Shifted(L.BatchNormalization):
        def call(self, x, training=False):
            return super().call(x, training) + 1

    class Cubed(L.Activation):
        def call(self, x, training=False):
            return super().call(x) ** 3

    model = keras.Sequential([Doubled(4, activation="relu", input_dim=6), Shifted(epsilon=0.0), Cubed("relu")], seed=1)
    right = (dense(X, model.layers[0], relu) * 2 + 1) ** 3
    model.compile("sgd", "mse")
    np.testing.assert_allclose(model.predict(X), right, rtol=1e-4)
    np.testing.assert_allclose(model.feature_maps(X)["cubed"], right, rtol=1e-4)
    model.layers[0].call = lambda x, training=False: Tensor(np.zeros((len(x), 4), np.float32))
    assert (model.predict(X) == 1).all()


def test_prepared_filters_do_not_outlive_a_change_of_the_weights(rng):
    """Filters are packed once for a prediction; code of the user's may change them meanwhile."""

    class Growing(L.Layer):
        def __init__(self, conv, **keywords):
            super().__init__(**keywords)
            self.conv = conv

        def call(self, x):
            self.conv.kernel.data[...] += 1
            return self.conv(x)

    conv = L.Conv2D(1, 3, kernel_initializer="zeros")
    conv(np.zeros((1, 8, 8, 1)))
    model = keras.Sequential([Growing(conv, input_shape=(8, 8, 1))])
    conv.set_weights([np.zeros((3, 3, 1, 1)), np.zeros(1)])
    y = model.predict(np.ones((3, 8, 8, 1)), batch_size=1)
    assert y[:, 0, 0, 0].tolist() == [9, 18, 27]


def test_what_a_prediction_prepared_is_compared_with_the_weights(rng, monkeypatch):
    """The next prediction takes it where no bit has changed, whoever could have changed one; training lets it go."""
    layers = [L.Conv2D(40, 3, activation="relu", input_shape=(9, 9, 3)), L.Flatten(), L.Dense(50), L.Dense(2)]
    model = keras.Sequential(layers, seed=1)
    model.compile("sgd", "mse")
    x = rng.standard_normal((5, 9, 9, 3)).astype(np.float32)
    model.predict(x, 4)
    kept = dict(model._plans)
    assert len(kept) == 6 and pickle.loads(pickle.dumps(model))._plans is None
    first = model.predict(x, 4)
    assert all(model._plans[key] is plan for key, plan in kept.items())
    for w, place in ((layers[2].kernel, (77, 49)), (layers[0].kernel, (2, 1, 0, 3)), (layers[3].bias, 1)):
        w.data[place] = -w.data[place] - 1
        second = model.predict(x, 4)
        assert not np.array_equal(first, second)
        np.testing.assert_allclose(second, model(x).numpy(), rtol=1e-4, atol=1e-5)
        assert sum(model._plans[key] is not plan for key, plan in kept.items()) == 2
        kept, first = dict(model._plans), second
    model.train_on_batch(x, np.zeros((5, 2)))
    assert model._plans is None


def test_a_wide_dense_layer_has_a_plan_when_it_is_called_again(rng):
    """What one batch is worth is not worth a look at all weights; the results have the same bits with and without."""
    model = keras.Sequential([L.Dense(600, activation="relu", input_shape=(70,))], seed=1)
    x = rng.standard_normal((12, 70)).astype(np.float32)
    alone = [model.predict(part, 4) for part in np.split(x, 3)]
    assert not model._plans
    np.testing.assert_array_equal(model.predict(x, 4), np.concatenate(alone))
    assert len(model._plans) == 1
    np.testing.assert_array_equal(model(x[:4]).numpy(), alone[0])


def test_callbacks_may_change_weights_between_batches():
    from fastconv.nn.modelling.inference import fixed_weights

    conv, x = L.Conv2D(1, 3, kernel_initializer="ones"), Tensor(np.ones((1, 5, 5, 1), np.float32))
    conv(x)
    double = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: conv.set_weights([2 * w for w in conv.get_weights()])
    )
    listeners = keras.callbacks.base.CallbackList([double], None, {})
    with no_grad(), fixed_weights():
        assert conv(x).numpy().max() == 9
        listeners.call("on_epoch_end", 0, {})
        assert conv(x).numpy().max() == 18
        wide = conv(Tensor(np.full((1, 5, 5, 1), 1e39)))  # more than float32 holds
        np.testing.assert_allclose(wide.numpy(), np.full((1, 3, 3, 1), 18e39))


# --- copies


def with_everything():
    return keras.Sequential(
        [
            L.Conv2D(3, 3, input_shape=(6, 6, 1)), L.LeakyReLU(0.1), L.BatchNormalization(center=False), L.ReLU(0.1),
            L.Dropout(0.5), L.Dropout(0.2, seed=4), L.Flatten(), L.Dense(3), L.Softmax(axis=1),
        ],
        seed=1,
    )  # fmt: skip


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"])
def test_a_copy_goes_its_own_way(duplicate, rng):
    """It trains as the original would have: weights, momentum, shuffling and dropout; and neither moves the other."""
    x, y = rng.random((12, 6, 6, 1)), np.eye(3)[np.arange(12) % 3]
    model = with_everything()
    duplicate(model).predict(x)
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=4, verbose=0)
    model.predict(x)
    best = duplicate(model)
    before, kept = best.predict(x), model.get_weights()
    np.testing.assert_array_equal(before, model.predict(x))
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0).history
    np.testing.assert_array_equal(best.predict(x), before)
    assert all(map(np.array_equal, best.get_weights(), kept))
    assert best.fit(x, y, batch_size=4, epochs=2, verbose=0).history == history
    assert all(map(np.array_equal, best.get_weights(), model.get_weights()))
    assert best.layers[0].rng is not model.layers[0].rng and best.optimizer is not model.optimizer
    assert best.history.model is best


def test_a_shallow_copy_shares_the_layers_but_not_the_list():
    model = tiny()
    model.fit(X, Y, verbose=0)
    head = copy.copy(model)
    head.pop()
    assert len(model.layers) == 2
    assert head.layers[0] is model.layers[0]
    assert_all_agree(model, expected(model))
    np.testing.assert_allclose(head.predict(X), dense(X, model.layers[0], relu), atol=1e-5)
    with pytest.raises(InvalidArgument, match="the optimizer has trained another model"):
        head.fit(X, np.zeros((16, 8)), verbose=0)


def test_a_copied_layer_is_free_for_another_model():
    model = tiny()
    model.predict(X)
    again = copy.deepcopy(model.layers[1])
    assert not any(vars(again)[name] is value for name, value in vars(model.layers[1]).items() if name == "kernel")
    other = keras.Sequential([L.Dense(8, input_dim=6), L.Dense(8), again], seed=2)
    assert [layer.name for layer in other.layers] == ["dense", "dense_1", "dense_1_1"]
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]


def test_tensors_are_copied_without_their_record():
    w = L.Parameter("w", np.ones(2, np.float32), regularizer=keras.regularizers.L2(0.1))
    for again in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert (again.name, again.requires_grad, again.regularizer.l2) == ("w", True, 0.1)
        assert again.data is not w.data
        assert again.data.tolist() == [1, 1]
    y = w * 2
    for duplicate in (copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidArgument, match="detach"):
            duplicate(y)
    copy.copy(y).backward(np.ones(2, np.float32))
    assert w.grad.tolist() == [2, 2]


# --- layers inside of layers


class Block(L.Layer):
    """Layers in an attribute, a list, a dict and a model, built where they are called."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.first = L.Conv2D(2, 3, padding="same")
        self.parts = [L.Conv2D(2, 1, activation="relu"), L.BatchNormalization()]
        self.more = {"out": L.Dropout(0.5), "tuple": (L.Conv2D(2, 1, use_bias=False),)}
        self.inner = keras.Sequential([L.Conv2D(1, 1), L.Activation("relu")])

    def call(self, x, training=False):
        y = self.first(x)
        for part in self.parts:
            y = part(y, training=training)
        y = self.more["tuple"][0](self.more["out"](y, training=training))
        return F.flatten(self.inner(y, training=training))


PARTS = 20 + 6 + 8 + 4 + 3


def with_block(seed=1, optimizer="sgd", **keywords):
    model = keras.Sequential([Block(input_shape=(5, 5, 1), **keywords), L.Dense(2)], seed=seed)
    model.compile(optimizer, "mse")
    return model


def test_layers_inside_a_layer_are_counted_built_and_trained(rng, capsys):
    model, x = with_block(), rng.random((8, 5, 5, 1))
    assert model.layers[0].count_params() == PARTS
    assert model.count_params() == PARTS + 52
    model.summary()
    out = capsys.readouterr().out
    assert f"Total params: {PARTS + 52}" in out and f"Trainable params: {PARTS + 52 - 4}" in out
    before = model.get_weights()
    assert len(before) == 13
    model.fit(x, rng.random((8, 2)), verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert sum(changed) >= 12, "the last bias of a dead relu alone may stay"
    assert all(w.grad is None for w in model.weights)
    assert len(model.layers[0].get_weights()) == 11
    model.layers[0].set_weights([np.zeros(w.shape) for w in model.layers[0].weights])
    assert not any(w.any() for w in model.layers[0].get_weights())


def test_a_seed_makes_inner_layers_repeatable(rng):
    x, y = rng.random((8, 5, 5, 1)), rng.random((8, 2))
    runs = []
    for seed in (1, 1, 2):
        model = with_block(seed)
        model.fit(x, y, epochs=2, batch_size=4, verbose=0)
        runs.append(model.get_weights())
    assert all(map(np.array_equal, runs[0], runs[1]))
    assert not any(map(np.array_equal, runs[0][:1], runs[2][:1]))


def test_inner_layers_are_in_weight_files(rng, tmp_path):
    model, other, x = with_block(), with_block(seed=2), rng.random((8, 5, 5, 1))
    model.fit(x, rng.random((8, 2)), verbose=0)
    model.save_weights(tmp_path / "w.npz")
    names = np.load(tmp_path / "w.npz").files
    assert names == [
        "block/first/kernel", "block/first/bias", "block/parts/0/kernel", "block/parts/0/bias", "block/parts/1/gamma",
        "block/parts/1/beta", "block/parts/1/moving_mean", "block/parts/1/moving_variance",
        "block/more/tuple/0/kernel", "block/inner/conv2d/kernel", "block/inner/conv2d/bias", "dense/kernel",
        "dense/bias",
    ]  # fmt: skip
    other.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(other.predict(x), model.predict(x))
    arrays = dict(np.load(tmp_path / "w.npz"))
    del arrays["block/parts/1/gamma"]
    np.savez(tmp_path / "w.npz", **arrays)
    before = other.get_weights()
    with pytest.raises(InvalidArgument, match="'gamma' of layer 'block/parts/1' is missing in the file"):
        other.load_weights(tmp_path / "w.npz")
    assert all(map(np.array_equal, before, other.get_weights()))


def test_a_state_holds_inner_layers_and_their_dropout(rng, tmp_path):
    x, y = rng.random((8, 5, 5, 1)), rng.random((8, 2))

    def model():
        made = with_block(optimizer=keras.optimizers.Adam(0.01))
        made.layers[0].more["out"] = L.Dropout(0.5, seed=3)
        return made

    whole, first, second = model(), model(), model()
    right = whole.fit(x, y, epochs=4, batch_size=4, verbose=0).history["loss"]
    first.fit(x, y, epochs=2, batch_size=4, verbose=0)
    first.save_state(tmp_path / "s.npz")
    second.load_state(tmp_path / "s.npz")
    assert second.fit(x, y, epochs=4, initial_epoch=2, batch_size=4, verbose=0).history["loss"] == right[2:]


def test_freezing_a_layer_freezes_what_is_inside(rng):
    x, y = rng.random((8, 5, 5, 1)), rng.random((8, 2))
    for freeze in (lambda block: setattr(block, "trainable", False), None):
        model = with_block() if freeze else with_block(trainable=False)
        block = model.layers[0]
        if freeze:
            freeze(block)
            assert not block.parts[1].trainable and not block.inner.layers[0].trainable
        assert block.trainable_weights == []
        kept = [w for w in block.get_weights() if w.shape != (2,)]  # without moving statistics
        model.fit(x, y, epochs=2, verbose=0)
        assert all(map(np.array_equal, kept, [w for w in block.get_weights() if w.shape != (2,)]))
    block.trainable = True
    block.parts[0].trainable = False
    assert len(block.trainable_weights) == 11 - 2 - 2
    assert len(block.non_trainable_weights) == 4


def test_layers_that_come_later_are_found():
    class Growing(L.Layer):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.parts = []

        def call(self, x):
            for part in self.parts:
                x = part(x)
            return x

    model = keras.Sequential([Growing(input_shape=(6,)), L.Dense(6)], seed=1)
    model.compile("sgd", "mse")
    zeros = np.zeros((16, 6))
    model.fit(X, zeros, verbose=0)
    model.layers[0].parts.append(L.Dense(6))
    model.predict(X)
    assert model.count_params() == 84
    before = model.get_weights()
    model.fit(X, zeros, verbose=0)
    assert not any(map(np.array_equal, before, model.get_weights()))


def test_a_layer_may_be_built_by_the_one_that_holds_it():
    class Outer(L.Layer):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.inner = L.Dense(4)

        def build(self, input_shape):
            self.inner.build(input_shape)

        def compute_output_shape(self, input_shape):
            return (None, 4)

        def call(self, x):
            return self.inner(x)

    model = keras.Sequential([Outer(input_shape=(6,))], seed=1)
    assert len(model.get_weights()) == 2
    np.testing.assert_allclose(model.predict(X), dense(X, model.layers[0].inner), atol=1e-5)
    assert len(model.get_weights()) == 2


def test_one_layer_in_two_places_is_one_layer(tmp_path):
    class Twice(L.Layer):
        def __init__(self, shared, **keywords):
            super().__init__(**keywords)
            self.a, self.b, self.me = shared, [shared], self

        def call(self, x):
            return self.b[0](self.a(x))

    model = keras.Sequential([Twice(L.Dense(6), input_shape=(6,))], seed=1)
    model.compile("sgd", "mse")
    assert model.count_params() == 42
    before = model.get_weights()
    model.fit(X, X, verbose=0)
    assert not any(map(np.array_equal, before, model.get_weights()))
    model.save_weights(tmp_path / "w.npz")
    assert np.load(tmp_path / "w.npz").files == ["twice/a/kernel", "twice/a/bias"]


def test_what_cannot_be_named_or_added_is_said():
    class Bag(L.Layer):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.bag = {L.Dense(2)}

        def call(self, x):
            return x

    with pytest.raises(InvalidArgument, match="'bag' is a set with layers .* use a list or a dict"):
        keras.Sequential([Bag(input_shape=(6,))])
    model = keras.Sequential([L.Dense(2)])
    with pytest.raises(InvalidArgument, match="'sequential' holds this one, and cannot be put into it: a cycle"):
        model.add(keras.Sequential([model]))


def test_a_failed_build_leaves_nothing_behind():
    class Picky(L.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight("kernel", (input_shape[-1], 2))

        def call(self, x):
            if x.shape[-1] == 6:
                raise InvalidArgument("six")
            return x @ self.kernel

    layer = Picky()
    with pytest.raises(InvalidArgument, match="six"):
        layer(X)
    assert layer(X[:, :5]).shape == (16, 2)
    assert [w.shape for w in layer.weights] == [(5, 2)]


# --- names


def test_a_shared_layer_keeps_its_name(tmp_path):
    first = keras.Sequential([L.Dense(6, input_dim=6), L.Dense(6)], seed=1)
    second = keras.Sequential([*first.layers[:1], L.Dense(2)], seed=2)
    assert [layer.name for layer in second.layers] == ["dense", "dense_1"]
    third = keras.Sequential([L.Dense(6, input_dim=6)], seed=3)
    with pytest.raises(InvalidArgument, match=r"'dense' is in another model, and this one has a layer of that name"):
        third.add(first.layers[0])
    third.add(first.layers[1])
    assert [layer.name for layer in first.layers] == ["dense", "dense_1"]
    first.save_weights(tmp_path / "w.npz")
    assert len(np.load(tmp_path / "w.npz").files) == 4
    other = keras.Sequential([L.Dense(6, input_dim=6), L.Dense(6)], seed=5)
    other.load_weights(tmp_path / "w.npz")
    assert all(map(np.array_equal, first.get_weights(), other.get_weights()))


def test_a_file_holds_every_array_or_is_not_written(tmp_path):
    path = tmp_path / "w.npz"
    model = tiny()
    model.layers[1].name = "dense"
    for save in (model.save_weights, model.save_state):
        with pytest.raises(InvalidArgument, match="two weights are named 'dense/kernel'"):
            save(path)
    with pytest.raises(InvalidArgument, match="two layers are named 'dense'"):
        model.feature_maps(X)
    model.layers[1].name = "other"
    model.save_weights(path)
    model.layers[1].kernel.name = "bias"
    for use in (model.save_weights, model.load_weights):
        with pytest.raises(InvalidArgument, match="two weights are named 'other/bias'"):
            use(path)
    assert list(tmp_path.iterdir()) == [path]
    model.set_weights(model.get_weights())  # goes by place


def test_weights_of_one_name_get_numbers(tmp_path):
    class Sum(L.Layer):
        def build(self, input_shape):
            self.parts = [self.add_weight("w", (6,), "ones") for _ in range(2)]
            self.own = [L.Parameter("own", np.full(6, 2, np.float32))]

        def call(self, x):
            return x * self.parts[0] + self.parts[1] * self.own[0]

    model = keras.Sequential([Sum(input_shape=(6,))])
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    model.save_weights(tmp_path / "w.npz")
    assert np.load(tmp_path / "w.npz").files == ["sum/w", "sum/w_1", "sum/own"]
    other = keras.Sequential([Sum(input_shape=(6,))])
    other.load_weights(tmp_path / "w.npz")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


def test_a_shared_layer_serves_models_of_other_sizes(rng):
    conv = L.Conv2D(2, 3)
    small = keras.Sequential([keras.Input((6, 6, 1)), conv, L.Flatten(), L.Dense(2)], seed=1)
    large = keras.Sequential([keras.Input((8, 8, 1)), conv, L.Flatten(), L.Dense(2)], seed=1)
    for _ in range(2):
        for model, size in ((small, 6), (large, 8)):
            x = rng.random((2, size, size, 1))
            assert model.input_shape == (None, size, size, 1)
            np.testing.assert_allclose(model.predict(x), model(x).numpy(), atol=1e-5)
            assert model.get_layer("conv2d").output_shape == (None, size - 2, size - 2, 2)


# --- freezing, and the optimizer's state


def test_a_model_is_frozen_as_a_whole():
    model = tiny()
    model.trainable = False
    assert not model.trainable
    assert [layer.trainable for layer in model.layers] == [False, False]
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == len(model.weights) == 4
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))
    model.layers[1].trainable = True
    assert model.trainable_weights == [], "as in Keras, the model's setting comes first"
    model.trainable = True
    model.layers[0].trainable = False
    model.fit(X, Y, verbose=0)
    assert [np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)] == [True] * 2 + [False] * 2


def gradients(model):
    """Of the mean squared error, in float64."""
    x, z = X.astype(np.float64), dense(X, model.layers[0])
    y = dense(relu(z), model.layers[1])
    dy = 2 * (y - Y) / y.size
    dz = dy @ model.layers[1].get_weights()[0].T * (z > 0)
    return [x.T @ dz, dz.sum(axis=0), relu(z).T @ dy, dy.sum(axis=0)]


@pytest.mark.parametrize("frozen", [0, 1])
def test_momentum_stays_with_its_weight_when_a_layer_is_frozen(frozen):
    model = tiny()
    velocities = [np.zeros(w.shape) for w in model.weights]
    for step in range(9):
        for layer in model.layers:
            layer.trainable = True
        model.layers[frozen].trainable = not 3 <= step < 6
        right = model.get_weights()
        for i, g in enumerate(gradients(model)):
            if 3 <= step < 6 and i // 2 == frozen:
                continue
            velocities[i] = 0.9 * velocities[i] - 0.05 * g
            right[i] = right[i] + velocities[i]
        model.train_on_batch(X, Y)
        for got, want in zip(model.get_weights(), right, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-6)


def test_adam_counts_the_steps_of_each_weight():
    """A layer that comes later gets the first step of a new optimizer, in full."""
    model = tiny(keras.optimizers.Adam(0.01))
    for _ in range(5):
        model.train_on_batch(X, Y)
    state = {key: value.copy() for key, value in model.optimizer.get_state().items()}
    model.layers[1] = L.Dense(3, name="new")
    model.build((None, 6))
    before, g = model.get_weights(), gradients(model)
    model.train_on_batch(X, Y)
    after = model.get_weights()
    for i in (2, 3):  # the first step is rate*g/(abs(g) + epsilon')
        moved = np.abs(g[i]) > 1e-4
        np.testing.assert_allclose((after[i] - before[i])[moved], -0.01 * np.sign(g[i])[moved], rtol=2e-2)
    m = 0.9 * state["0/mean"] + 0.1 * g[0]
    v = 0.999 * state["0/square"] + 0.001 * g[0] ** 2
    step = 0.01 * np.sqrt(1 - 0.999**6) / (1 - 0.9**6) * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(after[0], before[0] - step, atol=1e-6)


def test_one_optimizer_trains_one_model():
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    first, second = tiny(optimizer), tiny(optimizer)
    first.fit(X, Y, verbose=0)
    before = second.get_weights()
    with pytest.raises(InvalidArgument, match="trained another model.* give each model one of its own"):
        second.fit(X, Y, verbose=0)
    assert all(map(np.array_equal, before, second.get_weights()))
    with pytest.raises(InvalidArgument, match="trained another model"):
        tiny(optimizer)
    first.compile(optimizer, "mae")
    first.fit(X, Y, verbose=0)
    weights = [Tensor(np.ones(2), requires_grad=True) for _ in range(2)]
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    for w in weights:  # without a model, what is kept goes by the weight
        w.grad = np.ones(2)
        optimizer.apply([w])
    assert [w.data.tolist() for w in weights] == [[0.9, 0.9]] * 2


def test_a_copied_optimizer_goes_on_in_a_model_of_the_same_shapes():
    whole, other = tiny(), tiny()
    whole.fit(X, Y, verbose=0)
    other.compile(copy.deepcopy(whole.optimizer), "mse")
    other.set_weights(whole.get_weights())
    whole.train_on_batch(X, Y), other.train_on_batch(X, Y)
    assert all(map(np.array_equal, whole.get_weights(), other.get_weights()))
    odd = keras.Sequential([L.Dense(3, input_dim=6)])
    odd.compile(copy.deepcopy(whole.optimizer), "mse")
    with pytest.raises(InvalidArgument, match="holds the state of 4 weights"):
        odd.fit(X, Y, verbose=0)


def test_a_weight_may_be_a_single_number():
    class Times(L.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(initializer="ones")

        def call(self, x):
            return x * self.factor

    for optimizer in ("sgd", "adam", "rmsprop"):
        model = keras.Sequential([Times(input_shape=(6,))])
        model.compile(optimizer, "mse")
        model.train_on_batch(X, 2 * X)
        (factor,) = model.get_weights()
        assert factor.shape == () and 1 < factor < 1.1


# --- own layers as Keras writes them


@pytest.mark.parametrize(
    "call",
    [
        lambda self, x: x * 2,
        lambda self, x, training=None: x * (3 if training else 2),
        lambda self, x, mask=None, training=False: x * (3 if training and mask is None else 2),
        lambda self, x, *, training: x * (3 if training else 2),
        lambda self, x, scale=2.0: x * scale,
        lambda self, x, **options: x * (2 + len(options)),
        lambda self, x, training, /: x * (3 if training else 2),
        lambda self, *arguments: arguments[0] * (3 if arguments[1] else 2),
    ],
)
def test_call_takes_training_where_it_asks_for_it(call):
    layer = type("Own", (L.Layer,), {"call": call})()
    asks = "training" in call.__code__.co_varnames or "arguments" in call.__code__.co_varnames
    assert layer(np.ones((1, 1)), training=True).item() == (3 if asks else 2)
    model = keras.Sequential([keras.Input((1,)), layer])
    assert model(np.ones((1, 1)), training=True).item() == (3 if asks else 2)
    assert model.predict(np.ones((1, 1))).item() == model.feature_maps(np.ones((1, 1)))["own"].item() == 2


def test_inner_layers_do_as_the_outer_one_does():
    """Dropout and normalisation inside of a layer train when it does, whether or not it hands `training` on."""

    class Silent(L.Layer):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.drop, self.norm = L.Dropout(0.5, seed=1), L.BatchNormalization(momentum=0.0)
            self.model = keras.Sequential([L.Dropout(0.5, seed=2)])
            self.never = L.Dropout(0.9, seed=3)

        def build(self, input_shape):
            self.built = True

        def call(self, x):
            return self.never(self.model(self.drop(self.norm(x))), training=False)

    layer = Silent()
    x = np.ones((64, 6)) * np.arange(64)[:, None]
    still, moving = layer(x).numpy(), layer(x, training=True).numpy()
    np.testing.assert_allclose(still, x / np.sqrt(1.001), rtol=1e-5)
    assert 0.7 < (moving == 0).mean() < 0.8, "two of the dropouts, and not the third"
    np.testing.assert_allclose(layer.norm.moving_mean.numpy(), 31.5, rtol=1e-5)
    model = keras.Sequential([Silent(input_shape=(6,))])
    assert 0.7 < (model(x, training=True).numpy() == 0).mean() < 0.8
    model.compile("sgd", "mse")
    model.fit(x, x, batch_size=64, verbose=0)
    np.testing.assert_allclose(model.layers[0].norm.moving_mean.numpy(), 31.5, rtol=1e-5)
    assert (model.predict(x[1:]) != 0).all()
    with pytest.raises(InvalidArgument, match="built of layer 'silent' cannot be set to False"):
        layer.built = False


def test_an_activation_may_be_a_layer():
    class Slope(L.Layer):
        def build(self, input_shape):
            self.slope = self.add_weight(shape=(input_shape[-1],), initializer="ones")

        def call(self, x):
            return x * self.slope

    model = keras.Sequential([L.Dense(3, activation=Slope(), input_dim=6), L.Activation(Slope())], seed=1)
    assert model.count_params() == 21 + 3 + 3
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert not any(map(np.array_equal, before, model.get_weights()))
    kernel, bias, first, second = (w.astype(np.float64) for w in model.get_weights())
    assert_all_agree(model, (X @ kernel + bias) * first * second)


def test_a_model_with_a_call_of_its_own_is_refused():
    with pytest.raises(InvalidArgument, match="'Own' defines call, but a Sequential model runs its layers"):
        type("Own", (keras.Sequential,), {"call": lambda self, x: x})


def test_add_weight_takes_keras_arguments():
    layer = L.Layer()
    made = [
        layer.add_weight(shape=(2, 3), initializer="zeros", trainable=True),
        layer.add_weight((2,), "ones", name="b"),
        layer.add_weight("w", (3,), "ones"),
        layer.add_weight(name="w", shape=[1], trainable=False),
        layer.add_weight(),
        layer.add_weight(None, (2,), regularizer="l2", constraint="non_neg"),
        layer.add_weight(shape=(2,), dtype="float64"),
    ]
    assert [w.name for w in made] == ["variable", "b", "w", "w_1", "variable_1", "variable_2", "variable_3"]
    assert [w.shape for w in made] == [(2, 3), (2,), (3,), (1,), (), (2,), (2,)]
    assert [w.requires_grad for w in made] == [True, True, True, False, True, True, True]
    assert made[1].data.tolist() == [1, 1] and made[6].dtype == np.float64
    for arguments, options in (
        (((2,), "zeros", 3), {}),
        (("w", (2,)), {"shape": (3,)}),
        (("5",), {"shape": 2.5}),
        (("w", (-1,)), {}),
        ((), {"name": 3}),
    ):
        with pytest.raises(InvalidArgument, match="^.?add_weight"):
            layer.add_weight(*arguments, **options)


def test_a_parameter_in_another_ones_place_is_trained():
    model = tiny()
    model.layers[1].kernel = L.Parameter("kernel", np.ones((8, 3), np.float32))
    model.layers[1].bias = L.Parameter("bias", np.zeros(3, np.float32))
    assert model.count_params() == 56 + 27
    model.fit(X, Y, verbose=0)
    assert not (model.layers[1].kernel.data == 1).any()
    np.testing.assert_allclose(model.predict(X), expected(model), atol=1e-5)


def test_a_subclass_may_add_weights_to_a_dense_layer():
    class Scaled(L.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.scale = self.add_weight("scale", (self.units,), "ones")

        def call(self, x):
            return super().call(x) * self.scale

    model = keras.Sequential([Scaled(3, input_dim=6)], seed=1)
    kernel, bias, scale = model.get_weights()
    model.set_weights([kernel, bias, scale * 3])
    np.testing.assert_allclose(model.predict(X), 3 * (X.astype(np.float64) @ kernel), atol=1e-5)


# --- a random life, beside plain arrays


ACTIVATIONS = {"relu": relu, "tanh": np.tanh, "linear": lambda z: z}
SLOPES = {"relu": lambda a: a > 0, "tanh": lambda a: 1 - a**2, "linear": np.ones_like}


class Twin:
    """Dense layers (6 to 6) as float64 arrays, trained by momentum as the formula says."""

    def __init__(self):
        self.layers = []

    def add(self, layer, place=None):
        arrays = [w.astype(np.float64) for w in layer.get_weights()]
        entry = {"w": arrays, "v": [np.zeros_like(a) for a in arrays], "f": layer.activation.__name__, "train": True}
        self.layers.insert(len(self.layers) if place is None else place, entry)

    def run(self):
        values = [X.astype(np.float64)]
        for layer in self.layers:
            values.append(ACTIVATIONS[layer["f"]](values[-1] @ layer["w"][0] + layer["w"][1]))
        return values

    def train(self, y):
        values = self.run()
        loss, dy = np.square(values[-1] - y).mean(), 2 * (values[-1] - y) / y.size
        for layer, x, out in zip(self.layers[::-1], values[-2::-1], values[::-1], strict=False):
            dz = dy * SLOPES[layer["f"]](out)
            dy = dz @ layer["w"][0].T
            for i, g in enumerate((x.T @ dz, dz.sum(axis=0)) if layer["train"] else ()):
                layer["v"][i] = 0.9 * layer["v"][i] - 0.05 * g
                layer["w"][i] = layer["w"][i] + layer["v"][i]
        return loss


def new_layer(rng):
    return L.Dense(6, activation=str(rng.choice(list(ACTIVATIONS))), input_dim=6)


@pytest.mark.parametrize("seed", range(12))
def test_a_random_life(seed, tmp_path):
    rng, twin = np.random.default_rng(seed), Twin()
    model = keras.Sequential([new_layer(rng), new_layer(rng)], seed=seed)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    for layer in model.layers:
        twin.add(layer)
    y = rng.random((16, 6))
    for _ in range(40):
        i = int(rng.integers(len(model.layers)))
        match str(rng.choice(["train", "train", "predict", "insert", "swap", "drop", "freeze", "activation", "copy",
                              "weights", "state"])):  # fmt: skip
            case "train" if model.trainable_weights:
                assert abs(model.train_on_batch(X, y) - twin.train(y)) < 1e-5
            case "predict":
                np.testing.assert_allclose(model.predict(X), twin.run()[-1], atol=1e-5)
            case "insert" if len(model.layers) < 5:
                layer = new_layer(rng)
                model.layers.insert(i, layer)
                model.build((None, 6))
                twin.add(layer, i)
            case "swap":
                model.layers[i] = layer = new_layer(rng)
                model.build((None, 6))
                del twin.layers[i]
                twin.add(layer, i)
            case "drop" if len(model.layers) > 1:
                del model.layers[i], twin.layers[i]
            case "freeze":
                model.layers[i].trainable = twin.layers[i]["train"] = not twin.layers[i]["train"]
            case "activation":
                twin.layers[i]["f"] = str(rng.choice(list(ACTIVATIONS)))
                model.layers[i].activation = keras.activations.get(twin.layers[i]["f"])
            case "copy":
                model = copy.deepcopy(model) if rng.random() < 0.5 else pickle.loads(pickle.dumps(model))
            case "weights":
                model.save_weights(tmp_path / "w.npz")
                model.set_weights([w * 0 for w in model.get_weights()])
                model.load_weights(tmp_path / "w.npz")
            case "state":
                model.save_state(tmp_path / "s.npz")
                model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
                model.load_state(tmp_path / "s.npz")
    for layer, entry in zip(model.layers, twin.layers, strict=True):
        for got, want in zip(layer.get_weights(), entry["w"], strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)
