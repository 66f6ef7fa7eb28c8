"""Files and configurations of models: Keras's layouts, name by name, and with Keras itself where it is there."""

import copy
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from fastconv import nn
from fastconv.errors import DataUnavailable, InvalidArgument

h5py = pytest.importorskip("h5py")
L = nn.layers
#: Keras's tensors on PyTorch do not know of NumPy 2's copy=.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


def small(**compiled):
    """A model with what files must tell apart: two layers of a kind, moving statistics, layers without weights."""
    model = nn.Sequential(seed=3)
    model.add(L.Input((4, 4, 1)))
    model.add(L.Conv2D(2, 2, activation="relu", kernel_regularizer="l2", name="first"))
    model.add(L.BatchNormalization())
    model.add(L.Dropout(0.5))
    model.add(L.Flatten())
    model.add(L.Dense(3, activation="tanh"))
    model.add(L.Dense(2, activation="softmax"))
    if compiled:
        model.compile(**compiled)
    return model


def data():
    rng = np.random.default_rng(0)
    return rng.random((6, 4, 4, 1)).astype(np.float32), np.eye(2, dtype=np.float32)[np.arange(6) % 2]


def trained(optimizer="adam"):
    model = small(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data(), batch_size=3, epochs=1, verbose=0)
    return model


def groups(path):
    """The arrays of an HDF5 file: paths and shapes."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item.shape} if isinstance(item, h5py.Dataset) else {}))
    return found


KERAS_3 = {
    "layers/conv2d/vars/0": (2, 2, 1, 2),
    "layers/conv2d/vars/1": (2,),
    **{f"layers/batch_normalization/vars/{i}": (2,) for i in range(4)},
    "layers/dense/vars/0": (18, 3),
    "layers/dense/vars/1": (3,),
    "layers/dense_1/vars/0": (3, 2),
    "layers/dense_1/vars/1": (2,),
}


def test_weights_in_keras_3s_layout(tmp_path):
    model = small()
    model.save_weights(tmp_path / "a.weights.h5")
    assert groups(tmp_path / "a.weights.h5") == KERAS_3
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert file["vars"].attrs["name"] == "sequential"
        assert file["layers/conv2d/vars"].attrs["name"] == "first"
        assert {"dropout", "flatten"} <= set(file["layers"])
        np.testing.assert_array_equal(file["layers/batch_normalization/vars/3"], np.ones(2))
    other = small()
    other.load_weights(tmp_path / "a.weights.h5")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_in_keras_2s_layout(tmp_path):
    model = small()
    model.save_weights(tmp_path / "fashion_model.h5")
    with h5py.File(tmp_path / "fashion_model.h5") as file:
        names = [name.decode() for name in file.attrs["layer_names"]]
        assert names == ["first", "batch_normalization", "dropout", "flatten", "dense", "dense_1"]
        assert [n.decode() for n in file["batch_normalization"].attrs["weight_names"]] == [
            f"batch_normalization/{name}:0" for name in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        assert file["first"]["first/kernel:0"].shape == (2, 2, 1, 2)
    other = small()
    other.layers[0].name = "another"  # the order decides
    other.load_weights(tmp_path / "fashion_model.h5")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_names_take_several_attributes(tmp_path):
    from fastconv.nn.formats import hdf5

    names = [f"{'layer' * 20}_{i}" for i in range(2000)]
    packed = hdf5.packed(lambda root: hdf5.put_texts(root, "layer_names", names))
    with hdf5.reading(io.BytesIO(packed), "it") as root:
        assert "layer_names" not in root.attrs and hdf5.texts(root, "layer_names") == names


def test_optimizer_in_keras_3s_layout(tmp_path):
    model = trained(nn.optimizers.Adam(0.25))
    model.save_weights(tmp_path / "a.weights.h5")
    held = {
        k.removeprefix("optimizer/vars/"): v
        for k, v in groups(tmp_path / "a.weights.h5").items()
        if k[:9] == "optimizer"
    }
    shapes = [(2, 2, 1, 2), (2,), (2,), (2,), (18, 3), (3,), (3, 2), (2,)]  # of what is trained; two arrays each
    expected = [(), (), *(shape for shape in shapes for _ in range(2))]
    assert held == {str(i): shape for i, shape in enumerate(expected)}
    state = model.optimizer.get_state({name: w for name, (_, w) in model.named_weights().items()})
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert file["optimizer/vars/0"][()] == 2 and file["optimizer/vars/1"][()] == np.float32(0.25)
        np.testing.assert_array_equal(file["optimizer/vars/2"], state["first/kernel/mean"])
        np.testing.assert_array_equal(file["optimizer/vars/3"], state["first/kernel/square"])


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", nn.optimizers.SGD(0.1, momentum=0.9)])
def test_training_goes_on_bit_for_bit(tmp_path, optimizer):
    model = trained(optimizer)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
    again = [nn.models.load_model(tmp_path / name) for name in ("m.keras", "m.h5")]
    copies = [*again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    model.fit(*data(), batch_size=3, epochs=2, verbose=0)
    for other in copies:
        other.fit(*data(), batch_size=3, epochs=2, verbose=0)
        assert other.history.history == model.history.history
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_models_file(tmp_path):
    trained().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        config = json.loads(archive.read("config.json"))
    assert (config["module"], config["class_name"]) == ("keras", "Sequential")
    layers = config["config"]["layers"]
    assert [layer["class_name"] for layer in layers][:3] == ["InputLayer", "Conv2D", "BatchNormalization"]
    assert layers[0]["config"]["batch_shape"] == [None, 4, 4, 1]
    assert layers[1]["config"]["kernel_size"] == [2, 2] and layers[1]["config"]["activation"] == "relu"
    assert config["compile_config"]["optimizer"]["class_name"] == "Adam"
    assert config["compile_config"]["metrics"] == ["accuracy"]
    bare = nn.models.load_model(tmp_path / "m.keras", compile=False)
    assert bare.optimizer is None


ABSTRACT = (
    "Custom",
    "ByShape",
    "Metric",
    "Loss",
    "OfNumbers",
    "Crossentropy",
    "Layer",
    "Initializer",
    "Regularizer",
    "Constraint",
    "Optimizer",
    "Lambda",  # code, which goes by a name that its user registers
    "MeanMetricWrapper",
)


def test_a_models_file_in_the_older_layout(tmp_path):
    model = trained(nn.optimizers.SGD(0.25, momentum=0.5))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        config, training = (json.loads(file.attrs[name]) for name in ("model_config", "training_config"))
        assert config["class_name"] == "Sequential"
        assert [layer["class_name"] for layer in config["config"]["layers"]][:2] == ["InputLayer", "Conv2D"]
        assert training["loss"] == "categorical_crossentropy" and training["metrics"] == ["accuracy"]
        assert training["optimizer_config"]["class_name"] == "SGD"
        assert training["optimizer_config"]["config"]["momentum"] == 0.5
        assert list(file["model_weights"].attrs["layer_names"])[:2] == [b"first", b"batch_normalization"]
        names = [name.decode() for name in file["optimizer_weights"].attrs["weight_names"]]
        assert names[:2] == ["sgd/iterations", "sgd/learning_rate"] and len(names) == 2 + 8
        assert file["optimizer_weights"][names[2]].shape == (2, 2, 1, 2)  # of the first weight
    uncompiled = nn.models.load_model(tmp_path / "m.h5", compile=False)
    assert uncompiled.optimizer is None
    np.testing.assert_array_equal(uncompiled.predict(data()[0], verbose=0), model.predict(data()[0], verbose=0))
    other = small()
    other.load_weights(tmp_path / "m.h5")
    np.testing.assert_array_equal(other.predict(data()[0], verbose=0), model.predict(data()[0], verbose=0))
    model.save(tmp_path / "bare.hdf5", include_optimizer=False)
    assert nn.models.load_model(tmp_path / "bare.hdf5").optimizer is None
    model.compile(loss=["mse"], optimizer="sgd", metrics=["mae"])
    model.save(tmp_path / "short.h5")
    with h5py.File(tmp_path / "short.h5") as file:  # Keras cannot read short names there
        told = json.loads(file.attrs["training_config"])
    assert (told["loss"], told["metrics"]) == (["mean_squared_error"], ["mean_absolute_error"])


def test_files_of_weights_are_no_models(tmp_path):
    model = small()
    model.save_weights(tmp_path / "m.h5")
    with pytest.raises(InvalidArgument, match=r"holds weights without the model .* model.load_weights"):
        nn.models.load_model(tmp_path / "m.h5")
    for name in ("m.weights.h5", "m.npz"):
        with pytest.raises(InvalidArgument, match=r"ends with .keras or .h5; such a file holds weights"):
            nn.models.load_model(tmp_path / name)
        with pytest.raises(InvalidArgument, match=r"ends with .keras or .h5"):
            model.save(tmp_path / name)


def test_checkpoints_hold_what_was_asked_for(tmp_path):
    model = trained()
    for name, weights_only in (("a.h5", False), ("b.h5", None), ("c.h5", True), ("d.keras", None), ("e.keras", False)):
        checkpoint = nn.callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=weights_only)
        model.fit(*data(), verbose=0, callbacks=[checkpoint])
        if name[0] in "ade":
            assert nn.models.load_model(tmp_path / name).count_params() == model.count_params()
        else:
            with pytest.raises(InvalidArgument, match="holds weights"):
                nn.models.load_model(tmp_path / name)
    for name, weights_only in (("f.keras", True), ("g.weights.h5", False), ("h.npz", False)):
        with pytest.raises(InvalidArgument, match="end the name with"):
            nn.callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=weights_only)


class Scaling(nn.Model):
    """A model with weights of its own beside those of its layers."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.dense = L.Dense(2)
        self.kept = self.add_weight(name="kept", shape=(2,), initializer="ones", trainable=False)
        self.scale = self.add_weight(name="scale", shape=(2,), initializer="ones")

    def call(self, x):
        return self.dense(x) * self.scale + self.kept


def test_a_models_own_weights_are_in_its_files(tmp_path):
    x, model = np.ones((1, 3), np.float32), Scaling()
    model(x)
    model.set_weights([w + 0.5 * i for i, w in enumerate(model.get_weights())])
    model.save_weights(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        names = file["top_level_model_weights"].attrs["weight_names"]
    assert list(names) == [b"scale:0", b"kept:0"]  # those that are trained first
    other = Scaling()
    other(x)
    other.load_weights(tmp_path / "a.h5")
    np.testing.assert_array_equal(other(x).numpy(), model(x).numpy())
    model.save(tmp_path / "m.h5")
    again = nn.models.load_model(tmp_path / "m.h5", custom_objects={"Scaling": Scaling})
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())


def of_keras_2():
    """A configuration as Keras 2 wrote it: a shared layer, a model inside whose calls count from 1, lists for calls."""

    def layer(kind, name, *calls, **config):
        described = {"class_name": kind, "config": {"name": name, "trainable": True, **config}}
        return described if calls == ("in a stack",) else {**described, "name": name, "inbound_nodes": list(calls)}

    zeros = {"class_name": "Zeros", "config": {}}
    dense = {"units": 3, "activation": "linear", "bias_initializer": zeros, "dtype": "float32"}
    inputs = {"batch_input_shape": [None, 3], "dtype": "float32", "sparse": False, "ragged": False}
    inside = {
        "name": "inside",
        "layers": [
            layer("InputLayer", "in", **inputs),
            layer("Dense", "within", [["in", 0, 0, {}]], **dense),
        ],
        "input_layers": [["in", 0, 0]],
        "output_layers": [["within", 0, 0]],
    }
    stack = [layer("InputLayer", "first", "in a stack", **inputs), layer("Dense", "last", "in a stack", **dense)]
    graph = [
        layer("InputLayer", "x", **inputs),
        layer("Dense", "shared", [["x", 0, 0, {}]], [["x", 0, 0, {"training": None}]], **dense),
        layer("Add", "sum", [["shared", 0, 0, {}], ["shared", 1, 0, {}]]),
        {"class_name": "Functional", "config": inside, "name": "inside", "inbound_nodes": [[["sum", 0, 0, {}]]]},
        layer("BatchNormalization", "norm", [["inside", 1, 0, {}]], axis=[1], momentum=0.9),
        {**layer("Sequential", "stack", [["norm", 0, 0, {}]], layers=stack)},
    ]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["stack", 1, 0]]}
    model = {"class_name": "Model", "config": {"name": "old", "layers": graph, **ends}}
    wrapper = {"class_name": "MeanMetricWrapper", "config": {"name": "mae", "fn": "mean_absolute_error"}}
    training = {
        "loss": {"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "mean_squared_error"}},
        "metrics": [[wrapper]],
        "weighted_metrics": None,
        "loss_weights": None,
        "optimizer_config": {
            "class_name": "SGD",
            "config": {"name": "SGD", "learning_rate": 0.5, "jit_compile": True, "is_legacy_optimizer": False},
        },
    }
    return model, training


def test_files_of_keras_2(tmp_path):
    inputs, shared, within = nn.Input((3,)), L.Dense(3, name="shared"), L.Dense(3, name="within")
    middle = nn.Input((3,))
    inside = nn.Model(middle, within(middle), name="inside")
    normed = L.BatchNormalization(name="norm", momentum=0.9)(inside(L.Add()([shared(inputs), shared(inputs)])))
    model = nn.Model(inputs, nn.Sequential([L.Input((3,)), L.Dense(3, name="last")], name="stack")(normed))
    model.set_weights([w + 0.1 * i for i, w in enumerate(model.get_weights())])
    model.save(tmp_path / "m.h5")
    config, training = of_keras_2()
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file.attrs["model_config"], file.attrs["training_config"] = map(json.dumps, (config, training))
    read = nn.models.load_model(tmp_path / "m.h5")
    x = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    np.testing.assert_array_equal(read.predict(x, verbose=0), model.predict(x, verbose=0))
    assert [layer.name for layer in read.layers] == ["x", "shared", "sum", "inside", "norm", "stack"]
    assert read.optimizer.learning_rate == 0.5 and type(read.loss).__name__ == "MeanSquaredError"
    assert set(read.fit(x, x, verbose=0).history) == {"loss", "mean_absolute_error"}


def constructed():
    """Every class that a configuration can name, made with as little as it takes."""
    from fastconv.nn.configs import registry

    given = {
        "Activation": ["relu"], "Dense": [3], "Dropout": [0.5], "InputLayer": [(3,)], "Permute": [(2, 1)],
        "Reshape": [(2, 2)], "DepthwiseConv1D": [3], "DepthwiseConv2D": [3], "RepeatVector": [2], "Rescaling": [0.5],
        "Resizing": [2, 3], "CenterCrop": [2, 3], "RandomCrop": [2, 3], "Embedding": [5, 3],
        "RandomTranslation": [0.1, 0.2],
        **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise"), [0.5]),
        **dict.fromkeys(("GaussianDropout", "AlphaDropout", "RandomRotation", "RandomZoom", "RandomContrast"), [0.5]),
        "RandomBrightness": [0.5],
        "Dot": [1],
        "SensitivityAtSpecificity": [0.5], "IoU": [2, [0]],
        "SpecificityAtSensitivity": [0.5], "PrecisionAtRecall": [0.5], "RecallAtPrecision": [0.5], "MeanIoU": [2],
        "OneHotIoU": [2, [0]], "OneHotMeanIoU": [2], "LossScaleOptimizer": [nn.optimizers.SGD(0.5)],
    }  # fmt: skip
    for family in ("layers", "initializers", "regularizers", "constraints", "losses", "metrics", "optimizers"):
        module = getattr(nn, family)
        for name, kind in registry.BUILT_IN[family].items():
            if getattr(module, name, None) is kind and name not in ABSTRACT:
                yield pytest.param(kind, given.get(name, [2, 3] if "Conv" in name else []), id=f"{family}.{name}")


@pytest.mark.parametrize("kind, given", list(constructed()))
def test_configurations_make_the_same_again(kind, given):
    made = kind(*given)
    text = json.dumps(nn.utils.serialize_keras_object(made))
    again = nn.utils.deserialize_keras_object(json.loads(text))
    assert type(again) is kind
    assert json.dumps(nn.utils.serialize_keras_object(again)) == text
    assert json.dumps(kind.from_config(made.get_config()).get_config()) == json.dumps(made.get_config())


def test_activity_regularizers_are_part_of_the_loss():
    layer = L.Dense(2, activation="relu", activity_regularizer=nn.regularizers.L1L2(0.1, 0.01), input_shape=(3,))
    model = nn.Sequential([layer, L.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    x, y = np.random.default_rng(0).random((4, 3)).astype(np.float32), np.ones((4, 1), np.float32)
    hidden = np.asarray(model.feature_maps(x)["dense"], np.float64)
    plain = np.square(model.predict(x) - y).mean(dtype=np.float64)
    expected = plain + (0.1 * np.abs(hidden).sum() + 0.01 * np.square(hidden).sum()) / 4
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(model.train_on_batch(x, y), expected, rtol=1e-6)
    assert model.get_config()["layers"][1]["config"]["activity_regularizer"]["config"] == {"l1": 0.1, "l2": 0.01}


def test_activity_regularizers_have_gradients():
    """Numbers of float64, against the difference quotient of the whole loss."""
    model = nn.Sequential([L.Dense(2, activity_regularizer="l2", input_shape=(3,), dtype="float64")], seed=1)
    model.compile(nn.optimizers.SGD(1.0), "mse")
    x, y = np.random.default_rng(0).random((4, 3)), np.zeros((4, 2))
    before, step = model.get_weights(), 1e-6
    kernel = before[0].copy()
    kernel[1, 0] += step
    losses = []
    for given in (kernel, 2 * before[0] - kernel):
        model.set_weights([given, before[1]])
        losses.append(model.evaluate(x, y, verbose=0))
    model.set_weights(before)
    model.train_on_batch(x, y)
    np.testing.assert_allclose(
        before[0][1, 0] - model.get_weights()[0][1, 0], np.diff(losses[::-1]) / (2 * step), rtol=1e-6
    )


class Scaled(L.Layer):
    """A layer of one's own that knows nothing of configurations."""

    def __init__(self, factor, inner=None):
        super().__init__()
        self.factor, self.inner = factor, inner

    def call(self, x):
        return self.factor * (x if self.inner is None else self.inner(x))


def cube(x):
    return x * x * x


def test_classes_of_ones_own(tmp_path):
    model = nn.Sequential([L.Input((3,)), Scaled(2.0, L.Dense(3, activation=cube)), L.Dense(2)])
    model.layers[0].trainable = False
    model.save(tmp_path / "m.keras")
    with pytest.raises(InvalidArgument, match="does not know: Scaled, cube; pass classes"):
        nn.models.load_model(tmp_path / "m.keras")
    x = np.ones((2, 3), np.float32)
    again = nn.models.load_model(tmp_path / "m.keras", custom_objects={"Scaled": Scaled, "cube": cube})
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert isinstance(again.layers[0], Scaled) and not again.layers[0].trainable and again.layers[0].factor == 2.0
    with nn.utils.custom_object_scope({"Scaled": Scaled, "cube": cube}):
        assert nn.models.model_from_json(model.to_json()).count_params() == model.count_params()
    nameless = nn.Sequential([L.Dense(2, activation=lambda x: x, input_shape=(3,))])
    with pytest.raises(InvalidArgument, match="it has no name; write it as a function"):
        nameless.save(tmp_path / "n.keras")
    assert not (tmp_path / "n.keras").exists()


def test_layers_are_described_without_how_they_are_trained(tmp_path):
    """Losses and rates may be functions without a name, of models in models too, where nothing of them is written."""
    inside = nn.Sequential([L.Input((3,)), L.Dense(4, activation="tanh")])
    model = nn.Sequential([inside, L.Dense(2)])
    for each in (inside, model):
        each.compile(optimizer=nn.optimizers.SGD(lambda step: 0.1 / (1 + step)), loss=lambda y, p: (y - p) ** 2)
    x = np.ones((2, 3), np.float32)
    wanted = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras", include_optimizer=False)
    read = nn.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(read.predict(x, verbose=0), wanted)
    assert read.optimizer is None and read.layers[0].optimizer is None
    for made in (nn.models.model_from_json(model.to_json()), nn.models.clone_model(model)):
        made.set_weights(model.get_weights())
        np.testing.assert_array_equal(made.predict(x, verbose=0), wanted)
        assert made.optimizer is None
    with pytest.raises(InvalidArgument, match="no name"):
        model.save(tmp_path / "whole.keras")
    assert model.get_compile_config() is not None and "compile_config" in nn.saving.serialize_keras_object(
        small(loss="mse")
    )


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5", ".hdf5"])
def test_damaged_files_are_one_error_and_change_nothing(tmp_path, suffix):
    model, holds_model = small(), suffix in (".keras", ".hdf5")
    path = tmp_path / f"m{suffix}"
    (model.save if holds_model else model.save_weights)(path)
    whole = path.read_bytes()
    before = model.get_weights()
    rng = np.random.default_rng(0)
    for _ in range(25):
        data = bytearray(whole)
        if rng.random() < 0.5:
            del data[rng.integers(len(data)) :]
        else:
            for place in rng.integers(len(data), size=20):
                data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            model.load_weights(path)
            model.set_weights(before)  # only numbers were hit
            if holds_model:
                nn.models.load_model(path)
        except (DataUnavailable, InvalidArgument) as error:
            assert "\n" not in str(error)
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


def test_files_of_other_models_are_told(tmp_path):
    model = small()
    for name in ("a.weights.h5", "a.h5"):
        model.save_weights(tmp_path / name)
        wider = nn.Sequential([L.Input((4, 4, 1)), *[type(x).from_config(x.get_config()) for x in model.layers[:-1]]])
        with pytest.raises(InvalidArgument, match="dense_1|layers with weights"):
            wider.load_weights(tmp_path / name)
        wider.add(L.Dense(5))
        before = wider.get_weights()
        with pytest.raises(InvalidArgument, match=r"has shape \(3, 5\) but .* holds \(3, 2\)"):
            wider.load_weights(tmp_path / name)
        for a, b in zip(wider.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


def test_links_out_of_a_file_are_refused(tmp_path):
    model = small()
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = h5py.ExternalLink(str(tmp_path / "b.h5"), "secret")
    with pytest.raises(DataUnavailable, match="is a link to somewhere else"):
        model.load_weights(tmp_path / "a.weights.h5")


def test_configurations_that_are_not_sound_are_told(tmp_path):
    small().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for old, new in (
        ('"layers"', '"lawyers"'),
        ('"class_name": "Dense"', '"class_name": "Danse"'),
        ('"units": 3', '"units": "x"'),
    ):
        with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
            for name, content in parts.items():
                archive.writestr(
                    name, content.replace(old.encode(), new.encode()) if name == "config.json" else content
                )
        with pytest.raises(InvalidArgument, match="Danse|layers|units"):
            nn.models.load_model(tmp_path / "n.keras")
    for text in ("", "[]", '{"class_name": "Functional", "config": {"input_layers": 3}}', "[" * 5000):
        with pytest.raises(InvalidArgument):
            nn.models.model_from_json(text)


def test_what_keras_says_and_fastconv_cannot_do_is_told():
    with pytest.raises(InvalidArgument, match="renorm is True, which fastconv cannot do; leave it False"):
        L.BatchNormalization(renorm=True)
    assert L.BatchNormalization(renorm=False, synchronized=False).momentum == 0.99
    with pytest.raises(InvalidArgument, match="`Dense` has no argument 'unitz'; did you mean 'units'"):
        L.Dense(3, unitz=4)
    with pytest.raises(InvalidArgument, match="`Dense` has no argument 'spin'"):
        L.Dense.from_config({"units": 3, "spin": 2})
    assert L.Dense.from_config({"units": 3, "option_of_a_later_version": None}).units == 3


# With Keras itself, where it is installed


@pytest.fixture
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


def every_layer():
    """Models that between them have every layer with weights, and most without, with the shape of a sample."""
    images, signals, volumes = (8, 8, 3), (9, 4), (5, 6, 7, 2)
    stacks = {
        "images": (images, lambda L: [
            L.ZeroPadding2D(((1, 0), (2, 1))), L.Conv2D(4, 3, strides=2, padding="same", groups=1, activation="relu"),
            L.BatchNormalization(), L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), L.LeakyReLU(0.2),
            L.Conv2DTranspose(3, 3, 2, padding="same"), L.MaxPooling2D(2), L.AveragePooling2D(2, padding="same"),
            L.Activation("tanh"), L.Dropout(0.3, seed=1), L.Flatten(), L.Dense(6), L.ReLU(), L.Reshape((2, 3)),
            L.Permute((2, 1)), L.Softmax(), L.Flatten(), L.Dense(2, activation="softmax", kernel_constraint="max_norm"),
        ]),
        "pooled": (images, lambda L: [L.Conv2D(4, 3), L.BatchNormalization(scale=True), L.GlobalAveragePooling2D()]),
        "largest": (images, lambda L: [L.Conv2D(2, 3, use_bias=False), L.GlobalMaxPooling2D(keepdims=True)]),
        "signals": (signals, lambda L: [
            L.ZeroPadding1D((2, 1)), L.Conv1D(4, 3, padding="causal", dilation_rate=2), L.MaxPooling1D(2),
            L.Conv1DTranspose(3, 2, strides=2), L.AveragePooling1D(2), L.GlobalMaxPooling1D(), L.Dense(2),
        ]),
        "volumes": (volumes, lambda L: [
            L.ZeroPadding3D(1), L.Conv3D(3, 2), L.MaxPooling3D(2), L.Conv3DTranspose(2, 2), L.BatchNormalization(),
            L.AveragePooling3D(2), L.GlobalAveragePooling3D(),
        ]),
    }  # fmt: skip
    return [pytest.param(*stack, id=name) for name, stack in stacks.items()]


def branched(keras):
    """A graph with a skip connection, a layer that is called twice, and models inside."""
    L = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    shared = L.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    x = L.Add()([image, shared(shared(image))])
    x = L.Concatenate()([x, L.BatchNormalization()(x)])
    chain = keras.Sequential([L.Conv2D(4, 2), L.BatchNormalization(), L.GlobalAveragePooling2D()], name="chain")
    y = chain(x)
    inside = keras.Input((4,))
    graph = keras.Model(inside, L.Multiply()([L.Dense(4)(inside), inside]), name="graph")
    top = keras.Model(inside, L.Dense(2, activation="softmax")(inside), name="top")
    return keras.Model(image, top(graph(y)), name="whole")


def randomized(weights):
    rng = np.random.default_rng(1)
    return [rng.random(w.shape).astype(np.float32) - 0.3 * (w.ndim > 1) for w in weights]


def predictions_of(model, x):
    return np.asarray(model.predict(x, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("shape, layers", every_layer())
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5", ".hdf5"])
def test_keras_reads_our_files(keras, tmp_path, shape, layers, suffix):
    model = nn.Sequential([L.Input(shape), *layers(L)])
    model.set_weights(randomized(model.get_weights()))
    x = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    path = str(tmp_path / f"m{suffix}")
    if suffix in (".keras", ".hdf5"):
        model.save(path)
        theirs = keras.models.load_model(path)
    else:
        model.save_weights(path)
        theirs = keras.Sequential([keras.layers.Input(shape), *layers(keras.layers)])
        theirs.load_weights(path)
    np.testing.assert_allclose(predictions_of(theirs, x), predictions_of(model, x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shape, layers", every_layer())
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5", ".hdf5"])
def test_we_read_keras_files(keras, tmp_path, shape, layers, suffix):
    theirs = keras.Sequential([keras.layers.Input(shape), *layers(keras.layers)])
    theirs.set_weights(randomized(theirs.get_weights()))
    x = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    path = str(tmp_path / f"m{suffix}")
    (theirs.save_weights if suffix == ".weights.h5" else theirs.save)(path)
    if suffix in (".keras", ".hdf5"):
        model = nn.models.load_model(path)
    else:
        model = nn.Sequential([L.Input(shape), *layers(L)])
        model.load_weights(path)
    np.testing.assert_allclose(predictions_of(model, x), predictions_of(theirs, x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5", ".hdf5"])
def test_graphs_go_both_ways(keras, tmp_path, suffix):
    x = np.random.default_rng(0).random((3, 8, 8, 3)).astype(np.float32)
    one, other = str(tmp_path / f"a{suffix}"), str(tmp_path / f"b{suffix}")
    ours, theirs = branched(nn), branched(keras)
    ours.set_weights(randomized(ours.get_weights()))
    if suffix in (".keras", ".hdf5"):
        ours.save(one)
        read = keras.models.load_model(one)
        read.save(other)
        back = nn.models.load_model(other)
    else:
        ours.save_weights(one)
        theirs.load_weights(one)
        read, back = theirs, branched(nn)
        (theirs.save_weights if suffix == ".weights.h5" else theirs.save)(other)
        back.load_weights(other)
    for model in (read, back):
        np.testing.assert_allclose(predictions_of(model, x), predictions_of(ours, x), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "RMSprop"])
def test_a_training_goes_on_in_the_other(keras, tmp_path, optimizer):
    given = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.5}}.get(optimizer, {})
    ours = nn.Sequential([L.Input((4, 4, 1)), L.Conv2D(2, 2), L.Flatten(), L.Dense(2, activation="softmax")])
    ours.compile(getattr(nn.optimizers, optimizer)(0.01, **given), "categorical_crossentropy", metrics=["accuracy"])
    options = {"batch_size": 3, "epochs": 2, "verbose": 0, "shuffle": False}
    ours.fit(*data(), **options)
    ours.save(tmp_path / "a.keras")
    theirs = keras.models.load_model(tmp_path / "a.keras")
    theirs.save(tmp_path / "b.keras")
    back = nn.models.load_model(tmp_path / "b.keras")
    expected = ours.fit(*data(), **options).history
    for other in (theirs, back):
        history = other.fit(*data(), **options).history
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
        for a, b in zip(other.get_weights(), ours.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "RMSprop"])
def test_a_training_goes_on_from_keras_older_layout(keras, tmp_path, optimizer):
    """There Keras leaves behind what its optimizer kept, when it reads the file; here nothing is lost."""
    given = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.5}}.get(optimizer, {})
    KL = keras.layers
    image = keras.Input((4, 4, 1))
    shared = KL.Conv2D(1, 3, padding="same", name="shared")
    x = KL.Concatenate()([image, shared(shared(image))])
    inside = keras.Sequential(
        [keras.Input((4, 4, 2)), KL.Conv2D(2, 2, use_bias=False), KL.BatchNormalization()], name="inside"
    )
    theirs = keras.Model(image, KL.Dense(2, activation="softmax")(KL.Flatten()(inside(x))))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    theirs.compile(getattr(keras.optimizers, optimizer)(0.01, **given), loss, metrics=["accuracy"])
    options = {"batch_size": 3, "epochs": 2, "verbose": 0, "shuffle": False}
    theirs.fit(*data(), **options)
    theirs.save(tmp_path / "a.h5")
    ours = nn.models.load_model(tmp_path / "a.h5")
    ours.save(tmp_path / "b.h5")
    again, read = nn.models.load_model(tmp_path / "b.h5"), keras.models.load_model(tmp_path / "b.h5")
    np.testing.assert_allclose(predictions_of(read, data()[0]), predictions_of(theirs, data()[0]), rtol=1e-5)
    assert read.optimizer.get_config()["learning_rate"] == pytest.approx(0.01)
    expected = theirs.fit(*data(), **options).history
    for other in (ours, again):
        history = other.fit(*data(), **options).history
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4)
        for a, b in zip(other.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind, given", list(constructed()))
def test_keras_takes_our_configurations(keras, kind, given):
    family = kind.family
    theirs = getattr(getattr(keras, family), kind.__name__, None)
    if theirs is None:
        pytest.skip("Keras has no such class")
    config = json.loads(json.dumps(nn.utils.serialize_keras_object(kind(*given))))
    made = keras.saving.deserialize_keras_object(config)
    assert type(made).__name__ == kind.__name__
    back = nn.utils.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(made))))
    assert type(back) is kind
