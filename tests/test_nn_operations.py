"""Operators and functions on symbolic tensors: run, trained, shown, saved, exported; with Keras where it is there."""

import json
import os
import zipfile

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.autograd import Tensor
from fastconv.errors import InvalidArgument, Unsupported

L = nn.layers
CONSTANT = np.linspace(0.5, 1.5, 12, dtype=np.float32).reshape(4, 3)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


#: Expressions of ops, x of shape (n, 3, 4) with numbers in (0.1, 1), and what they come to in NumPy.
EXPRESSIONS = {
    "operators": (lambda o, x: 2 - (x + 1) * x / 3 - (-x) ** 2 + 1 / x, lambda x: 2 - (x + 1) * x / 3 - x**2 + 1 / x),
    "items": (
        lambda o, x: x[..., 0] + x[:, 1:, -1:][:, 1] + x[:, -1, ::2][:, :1],
        lambda x: x[..., 0] + x[:, 2:, -1] + x[:, -1, :1],
    ),
    "new axes": (lambda o, x: x[:, None, :, 1, None], lambda x: x[:, None, :, 1, None]),
    "matrices": (lambda o, x: o.matmul(x, CONSTANT) @ CONSTANT.T, lambda x: x @ CONSTANT @ CONSTANT.T),
    "shapes": (
        lambda o, x: o.transpose(o.reshape(o.squeeze(o.expand_dims(x, 2), 2), (-1, 4, 3)), (0, 2, 1)),
        lambda x: x.reshape(-1, 4, 3).transpose(0, 2, 1),
    ),
    "many": (
        lambda o, x: o.concatenate([o.swapaxes(o.swapaxes(x, 1, 2), 1, 2), o.stack([x[:, 0], x[:, 1]], axis=1)], 1),
        lambda x: np.concatenate([x, x[:, :2]], 1),
    ),
    "moved": (
        lambda o, x: o.repeat(o.moveaxis(x, 1, -1), 2, axis=1) + o.pad(x, ((0, 0), (5, 0), (1, 0)))[:, :, :3],
        lambda x: np.repeat(x.transpose(0, 2, 1), 2, 1) + np.pad(x, ((0, 0), (5, 0), (1, 0)))[:, :, :3],
    ),
    "reductions": (
        lambda o, x: o.mean(x, axis=1) + o.sum(x, 1) - o.max(x, axis=(1,)) * o.min(x, 1) + o.var(x, 1) + o.std(x, 1),
        lambda x: x.mean(1) + x.sum(1) - x.max(1) * x.min(1) + x.var(1) + x.std(1),
    ),
    "kept": (lambda o, x: x / o.sum(x, axis=(1, 2), keepdims=True), lambda x: x / x.sum((1, 2), keepdims=True)),
    "of one": (
        lambda o, x: o.exp(o.sqrt(o.square(x))) + o.log(o.absolute(-x)) + o.negative(o.reciprocal(x)),
        lambda x: np.exp(x) + np.log(x) - 1 / x,
    ),
    "waves": (lambda o, x: o.sin(x) * o.cos(x), lambda x: np.sin(x) * np.cos(x)),
    "chosen": (
        lambda o, x: o.where(x > 0.5, x, 0.0) + o.where(o.less_equal(x, 0.3), 1.0, x),
        lambda x: np.where(x > 0.5, x, 0) + np.where(x <= 0.3, 1, x),
    ),
    "told": (
        lambda o, x: o.cast(o.logical_or(~(x >= 0.5), o.logical_and(x < 0.9, o.not_equal(x, 0.0))), "float32"),
        lambda x: ((x < 0.5) | (x < 0.9)).astype(float),
    ),
    "bounds": (
        lambda o, x: o.clip(x, 0.2, 0.7) + o.clip(x, None, 0.5) + o.maximum(x, 0.4) + o.minimum(x, 0.3),
        lambda x: np.clip(x, 0.2, 0.7) + np.minimum(x, 0.5) + np.maximum(x, 0.4) + np.minimum(x, 0.3),
    ),
    "activations": (
        lambda o, x: o.relu(x - 0.5) + o.sigmoid(x) + o.tanh(x) + o.softmax(x) + o.elu(x - 1) + o.leaky_relu(x - 1),
        lambda x: np.maximum(x - 0.5, 0) + sigmoid(x) + np.tanh(x) + softmax(x) + np.exp(x - 1) - 1 + 0.2 * (x - 1),
    ),
    "more": (
        lambda o, x: (
            o.silu(x) + o.softplus(x) + o.relu6(x * 9) + o.hard_sigmoid(x) + o.log_softmax(x, 1) + o.softsign(x)
        ),
        lambda x: (
            (x * sigmoid(x) + np.log1p(np.exp(x)) + np.clip(x * 9, 0, 6) + x / 6 + 0.5)
            + (np.log(softmax(x, 1)) + x / (1 + x))
        ),
    ),
    "sums": (
        lambda o, x: o.einsum("nij,nkj->nik", x, x) + o.einsum("nij,jk->nik", x, CONSTANT),
        lambda x: np.einsum("nij,nkj->nik", x, x) + x @ CONSTANT,
    ),
}
NOT_READ = ("waves", "chosen", "told", "sums")  # by fastconv.onnx


def sample():
    return np.random.default_rng(0).uniform(0.1, 1, (5, 3, 4)).astype(np.float32)


def model_of(name, keras=nn):
    x = keras.Input((3, 4), name="x")
    return keras.Model(x, EXPRESSIONS[name][0](keras.ops, x))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_functions_of_arrays_and_symbols(name):
    x, (function, expected) = sample(), EXPRESSIONS[name]
    wanted = expected(x.astype(np.float64))
    y = function(nn.ops, Tensor(x))
    assert y.shape == wanted.shape and y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), wanted, rtol=2e-5, atol=1e-6)
    model = model_of(name)
    assert model.output_shape == (None, *wanted.shape[1:])
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_operators_go_to_files_and_back(tmp_path, suffix):
    pytest.importorskip("h5py")
    x = sample()
    for name in EXPRESSIONS:
        model = model_of(name)
        model.save(tmp_path / f"m{suffix}")
        read = nn.models.load_model(tmp_path / f"m{suffix}")
        np.testing.assert_array_equal(read.predict(x, verbose=0), model.predict(x, verbose=0), err_msg=name)
        again = nn.models.model_from_json(read.to_json())
        np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0), err_msg=name)


def test_operators_in_keras_form(tmp_path):
    pytest.importorskip("h5py")
    x = nn.Input((4,), name="x")
    nn.Model(x, nn.ops.mean((1 - x[..., 1:]) * 2, axis=1, keepdims=True)).save(tmp_path / "m.keras")
    config = json.loads(zipfile.ZipFile(tmp_path / "m.keras").read("config.json"))["config"]
    _, item, subtract, multiply, mean = config["layers"]
    for layer, kind in ((item, "GetItem"), (subtract, "Subtract"), (multiply, "Multiply"), (mean, "Mean")):
        assert (layer["module"], layer["class_name"], layer["registered_name"]) == ("keras.src.ops.numpy", kind, kind)
    symbol = {"shape": [None, 3], "dtype": "float32", "keras_history": ["get_item", 0, 0]}
    symbol = {"class_name": "__keras_tensor__", "config": symbol}
    assert subtract["inbound_nodes"] == [{"args": [1, symbol], "kwargs": {}}]
    assert mean["config"] == {"name": "mean", "axis": 1, "keepdims": True}
    everything = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
    assert item["inbound_nodes"][0]["args"][1][0] == everything  # in place of the ellipsis


def test_operations_that_keras_lacks_are_saved_too():
    x = nn.Input((6, 6, 2))
    kernel = np.ones((3, 3, 2, 4), np.float32)
    model = nn.Model(
        x, fc.conv2d(fc.autograd.functional.expand(x, shape=(-1, 6, 6, 2)), kernel, layout="NHWC", padding=1)
    )
    read = nn.models.model_from_json(model.to_json())
    image = np.random.default_rng(0).random((1, 6, 6, 2)).astype(np.float32)
    np.testing.assert_array_equal(read.predict(image, verbose=0), model.predict(image, verbose=0))
    assert model.output_shape == (None, 6, 6, 4)
    with pytest.raises(InvalidArgument, match="unknown operation 'conv9d'"):
        nn.models.model_from_json(model.to_json().replace('"conv2d"', '"conv9d"'))


def test_files_with_unknown_operations_are_told():
    x = nn.Input((4,))
    text = nn.Model(x, x * 2).to_json()
    with pytest.raises(InvalidArgument, match="does not know: Cholesky"):
        nn.models.model_from_json(text.replace('"Multiply"', '"Cholesky"'))


def test_summaries_and_pictures_name_operators():
    x = nn.Input((4,), name="x")
    model = nn.Model(x, x[:, :2] / 2)
    lines = []
    model.summary(print_fn=lines.append)
    assert any("get_item (GetItem)" in line for line in lines)
    assert any("true_divide (TrueDivide)" in line for line in lines)
    graph = nn.utils.plot_model(model, to_file=None, show_shapes=True)
    assert [vertex.lines for vertex in graph.vertices] == [
        ("InputLayer", "(None, 4)"), ("GetItem", "(None, 2)"), ("TrueDivide", "(None, 2)"),
    ]  # fmt: skip


def test_gradients_flow_through_operators():
    x = nn.Input((4,))
    dense = L.Dense(3, use_bias=False)
    y = dense(x)
    model = nn.Model(x, nn.ops.where(y > 0, y * y, 0.5 * y)[:, :2])
    data = np.random.default_rng(1).standard_normal((8, 4)).astype(np.float32)
    model(data).sum().backward()
    z = data @ dense.kernel.numpy()
    dz = np.where(z > 0, 2 * z, 0.5) * (np.arange(3) < 2)
    np.testing.assert_allclose(dense.kernel.grad, data.T @ dz, rtol=1e-4, atol=1e-6)
    model.compile("sgd", "mse")
    first, *_, last = model.fit(data, np.zeros((8, 2)), epochs=5, verbose=0).history["loss"]
    assert last < first


def test_what_has_no_place_for_samples_is_told():
    x = nn.Input((4,))
    for wrong in (lambda: x[:2], lambda: x[0], lambda: nn.ops.sum(x), lambda: nn.ops.reshape(x, (2, 4))):
        with pytest.raises(InvalidArgument, match="leaves no axis for the samples|reshape|shape"):
            wrong()
    with pytest.raises(InvalidArgument, match="has no numbers"):
        nn.ops.convert_to_numpy(x)
    with pytest.raises(InvalidArgument, match="and a weight"):
        x * Tensor(np.ones(4, np.float32), requires_grad=True)


def test_operators_are_exported(tmp_path):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    x = nn.Input((3, 4), name="x")
    for names in ([n for n in EXPRESSIONS if n not in NOT_READ], list(EXPRESSIONS)):
        model = nn.Model(x, [EXPRESSIONS[name][0](nn.ops, x) for name in names])
        model.export(tmp_path / "m.onnx")
        session = ort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
        found = [session.run(None, {"input": sample()})]
        if names != list(EXPRESSIONS):
            found.append(fc.onnx.load(tmp_path / "m.onnx").predict(sample()))
        for results in found:
            for name, y, wanted in zip(names, results, model.predict(sample(), verbose=0), strict=True):
                np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5, err_msg=name)
    with pytest.raises(Unsupported, match="'expand' on a symbolic tensor is not written"):
        nn.Model(x, fc.autograd.functional.expand(x, shape=(-1, 3, 4))).export(tmp_path / "m.onnx")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_reads_operators_and_we_its(tmp_path, suffix):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    x = sample()
    for name, (_, expected) in EXPRESSIONS.items():
        ours, theirs = model_of(name), model_of(name, keras)
        ours.save(tmp_path / f"a{suffix}")
        theirs.save(tmp_path / f"b{suffix}")
        wanted = expected(x.astype(np.float64))
        for read in (keras.models.load_model(tmp_path / f"a{suffix}"), nn.models.load_model(tmp_path / f"b{suffix}")):
            np.testing.assert_allclose(
                np.asarray(read.predict(x, verbose=0)), wanted, rtol=2e-5, atol=1e-6, err_msg=name
            )
