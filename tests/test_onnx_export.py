"""Models as ONNX files: checked by onnx, run by onnxruntime, and read again, with the results of `predict`."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_graphs import session

import fastconv as fc
from fastconv import nn as keras
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument, MissingExtra, Unsupported

L = keras.layers
FIRST = {"data_format": "channels_first"}

#: Stacks of layers by the shape of one image.
STACKS = {
    "conv": ((9, 8, 3), lambda: [L.Conv2D(4, 3, activation="relu"), L.Conv2D(2, (1, 2), use_bias=False)]),
    "same, strides": ((9, 8, 3), lambda: [L.Conv2D(4, 3, strides=2, padding="same"), L.Conv2D(4, 4, padding="same")]),
    "same, wide strides": ((10, 11, 2), lambda: [L.Conv2D(3, 2, strides=3, padding="same", activation="sigmoid")]),
    "dilation, groups": ((12, 11, 4), lambda: [L.Conv2D(6, 3, dilation_rate=2, groups=2, padding="same")]),
    "channels first": ((3, 9, 8), lambda: [L.Conv2D(4, 3, **FIRST), L.MaxPooling2D(2, **FIRST), L.Flatten(**FIRST)]),
    "both formats": ((3, 9, 8), lambda: [L.Conv2D(4, 3, **FIRST), L.Conv2D(5, 3, padding="same")]),
    "depthwise": ((8, 8, 3), lambda: [L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")]),
    "depthwise first": ((3, 8, 8), lambda: [L.DepthwiseConv2D((3, 1), strides=2, **FIRST)]),
    "1-D": ((16, 3), lambda: [L.Conv1D(4, 3, padding="causal", dilation_rate=2), L.MaxPooling1D(3, 2, "same")]),
    "1-D first": ((3, 16), lambda: [L.Conv1D(4, 4, 2, "same", **FIRST), L.GlobalMaxPooling1D(**FIRST)]),
    "3-D": ((5, 6, 7, 2), lambda: [L.Conv3D(3, 2, strides=2, padding="same"), L.AveragePooling3D(2, padding="same")]),
    "3-D global": ((4, 4, 4, 2), lambda: [L.Conv3D(3, 2), L.GlobalAveragePooling3D(keepdims=True)]),
    "pools": ((9, 10, 2), lambda: [L.MaxPooling2D(3, 2, "same"), L.AveragePooling2D(3, 2, "same")]),
    "pools, valid": ((9, 10, 2), lambda: [L.AveragePooling2D((2, 3)), L.MaxPooling2D((2, 1), 1)]),
    "pools first": ((2, 9, 10), lambda: [L.AveragePooling2D(4, 3, "same", **FIRST), L.GlobalMaxPooling2D(**FIRST)]),
    "pools, 1-D": ((12, 2), lambda: [L.AveragePooling1D(3, 2), L.Conv1D(2, 2), L.GlobalAveragePooling1D()]),
    "pools, 3-D": ((6, 5, 4, 2), lambda: [L.MaxPooling3D((2, 1, 2)), L.GlobalMaxPooling3D()]),
    "global": ((5, 6, 3), lambda: [L.GlobalAveragePooling2D(), L.Dense(4, activation="tanh")]),
    "normalisation": ((5, 6, 3), lambda: [L.Conv2D(4, 2), L.ReLU(), L.BatchNormalization(), L.Dropout(0.5)]),
    "normalisation first": ((3, 6, 5), lambda: [L.BatchNormalization(axis=1, scale=False), L.Conv2D(2, 2, **FIRST)]),
    "normalisation, any axis": ((4, 5, 3), lambda: [L.BatchNormalization(axis=2), L.BatchNormalization(center=False)]),
    "normalisation of rows": ((7,), lambda: [L.Dense(5), L.BatchNormalization(), L.LeakyReLU(0.1), L.Dense(2)]),
    "dense, many axes": ((4, 3, 5), lambda: [L.Dense(6, activation="relu"), L.Dense(2, use_bias=False)]),
    "activations": ((4, 3), lambda: [L.Dense(5, activation=a) for a in ("leaky_relu", "exponential", "log_softmax")]),
    "activation layers": ((4, 4, 3), lambda: [
        L.Conv2D(4, 2, activation=L.LeakyReLU(0.3)), L.ReLU(negative_slope=0.2), L.Softmax()]),
    "softmax along an axis": ((4, 5, 3), lambda: [L.Conv2D(4, 2), L.Softmax(axis=1), L.Activation("softmax")]),
    "softmax first": ((3, 4, 5), lambda: [L.Conv2D(4, 2, **FIRST), L.Softmax(axis=1)]),
    "shapes": ((4, 6), lambda: [L.Reshape((2, 3, -1)), L.Conv2D(5, 2), L.Permute((3, 1, 2)), L.Flatten()]),
    "padding": ((4, 6, 2), lambda: [L.ZeroPadding2D(((1, 2), (0, 3))), L.Conv2D(3, 3), L.ZeroPadding2D(1)]),
    "padding first": ((2, 6), lambda: [L.ZeroPadding1D((2, 1), **FIRST), L.Conv1D(3, 3, **FIRST)]),
    "padding, 3-D": ((2, 3, 4, 2), lambda: [L.ZeroPadding3D((1, 0, 2)), L.Conv3D(2, 2)]),
    "transposed": ((4, 5, 3), lambda: [
        L.Conv2DTranspose(4, 3, 2, "same"), L.Conv2DTranspose(2, 2, 3, activation="relu")]),
    "transposed, valid": ((4, 5, 4), lambda: [
        L.Conv2DTranspose(4, (2, 3), (3, 2), groups=2), L.Conv2DTranspose(2, 1, 2)]),
    "transposed, output padding": ((4, 5, 2), lambda: [
        L.Conv2DTranspose(3, 3, 2, "same", output_padding=1), L.Conv2DTranspose(2, 4, 3, output_padding=(2, 0))]),
    "transposed first": ((2, 4, 5), lambda: [L.Conv2DTranspose(3, 3, 2, "same", dilation_rate=1, **FIRST)]),
    "transposed, 1-D and 3-D": ((6, 2), lambda: [
        L.Conv1DTranspose(3, 5, 2, "same"), L.Reshape((2, 3, 2, 3)), L.Conv3DTranspose(2, 3, 2, "same")]),
    "transposed, dilated": ((5, 5, 2), lambda: [L.Conv2DTranspose(3, 3, 1, dilation_rate=2)]),
    "separable": ((7, 6, 3), lambda: [
        L.SeparableConv2D(4, 3, strides=2, padding="same", depth_multiplier=2, activation="relu"),
        L.SeparableConv2D(3, (2, 1), use_bias=False, dilation_rate=1)]),
    "separable first": ((3, 7, 6), lambda: [L.SeparableConv2D(4, 3, padding="same", activation="elu", **FIRST)]),
    "separable, 1-D": ((9, 3), lambda: [
        L.SeparableConv1D(4, 3, padding="causal", dilation_rate=2), L.DepthwiseConv1D(3, padding="same")]),
    "smooth activations": ((4, 3), lambda: [L.Dense(5, activation=a) for a in (
        "elu", "selu", "gelu", "silu", "mish", "softplus", "softsign", "celu", "log_sigmoid", "squareplus")]),
    "activations in parts": ((4, 3), lambda: [L.Dense(5, activation=a) for a in (
        "relu6", "hard_sigmoid", "hard_silu", "hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink", "sparse_plus",
        "sparse_sigmoid")]),
    "activation layers with numbers": ((4, 4, 3), lambda: [
        L.Conv2D(4, 2), L.PReLU(shared_axes=[1, 2]), L.ELU(0.5), L.ReLU(2.0, 0.1, 0.2), L.ReLU(1.5), L.PReLU(),
        L.Activation(partial(keras.activations.gelu, approximate=True))]),
    "layer normalisation": ((4, 5, 3), lambda: [
        L.Conv2D(4, 2), L.LayerNormalization(), L.LayerNormalization([1, 3]), L.LayerNormalization((1, 2, 3))]),
    "group normalisation": ((4, 5, 4), lambda: [L.Conv2D(6, 2), L.GroupNormalization(3), L.GroupNormalization(2, 2)]),
    "group normalisation first": ((4, 5, 6), lambda: [L.GroupNormalization(2, axis=1), L.GroupNormalization(-1, 1)]),
    "other normalisation": ((4, 6), lambda: [
        L.RMSNormalization(), L.UnitNormalization(1), L.Rescaling([1, 2, 1, 2, 1, 2], 0.5),
        L.Normalization(mean=[1.0] * 6, variance=2.0 * np.ones(6)), L.Normalization(axis=(1,), invert=True),
        L.Normalization(axis=None)]),
    "cropping": ((6, 7, 2), lambda: [L.Conv2D(3, 2), L.Cropping2D(((1, 2), (0, 3))), L.Flatten()]),
    "cropping, 1-D and 3-D": ((6, 12), lambda: [
        L.Cropping1D((1, 2), **FIRST), L.Reshape((3, 3, 3, 2)), L.Cropping3D((1, 0, 1))]),
    "upsampling": ((3, 4, 2), lambda: [
        L.UpSampling2D((2, 3)), L.Conv2D(3, 2), L.UpSampling2D(2, interpolation="bilinear"), L.Conv2D(2, 2)]),
    "upsampling first": ((2, 3, 4), lambda: [
        L.UpSampling2D(2, **FIRST), L.UpSampling2D(2, **FIRST, interpolation="lanczos3")]),
    "upsampling, 1-D and 3-D": ((4, 6), lambda: [
        L.UpSampling1D(3), L.Reshape((3, 4, 3, 2)), L.UpSampling3D((1, 2, 2))]),
    "sizes": ((7, 8, 2), lambda: [
        L.Resizing(5, 6), L.Resizing(8, 9, "bicubic", crop_to_aspect_ratio=True), L.CenterCrop(6, 5),
        L.Resizing(4, 7, pad_to_aspect_ratio=True, fill_value=2.0, antialias=True), L.CenterCrop(5, 3),
        L.RandomCrop(3, 2)]),
    "vectors": ((5,), lambda: [L.Dense(4), L.RepeatVector(3), L.Conv1D(2, 2)]),
    "nothing of images": ((6, 5, 2), lambda: [
        L.RandomFlip(), L.RandomRotation(0.1), L.RandomTranslation(0.1, 0.1), L.RandomZoom(0.1), L.RandomContrast(0.1),
        L.RandomBrightness(0.1), L.SpatialDropout2D(0.5), L.GaussianNoise(1.0), L.Identity(),
        L.ActivityRegularization(0.1)]),
    "nothing of rows": ((6, 4), lambda: [
        L.GaussianDropout(0.5), L.AlphaDropout(0.5), L.SpatialDropout1D(0.5), L.Reshape((2, 2, 3, 2)),
        L.SpatialDropout3D(0.1)]),
    "nothing": ((3, 4), lambda: [L.Dropout(0.3)]),
}  # fmt: skip


def stacked(shape, made, dtype="float32"):
    """A built model whose weights, statistics and biases too, are random."""
    model = keras.Sequential(made(), seed=1)
    model.build((None, *shape))
    rng = np.random.default_rng(2)
    model.set_weights([(rng.random(w.shape) + 0.5) * rng.choice((-0.5, 0.5), w.shape) if w.ndim > 1
                       else rng.random(w.shape) + 0.5 for w in model.get_weights()])  # fmt: skip
    return model


def assert_same(y, expected):
    """Equal to rounding of float32."""
    assert y.shape == expected.shape
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", STACKS)
def test_every_layer(name, tmp_path, rng):
    shape, made = STACKS[name]
    model, path = stacked(shape, made), tmp_path / "m.onnx"
    model.export(path)
    onnx.checker.check_model(str(path), full_check=True)
    ort, again = session(path), fc.onnx.load(path)
    for batch in (1, 3):
        x = rng.standard_normal((batch, *shape), dtype=np.float32)
        expected = model.predict(x)
        assert_same(ort.run(None, {"input": x})[0], expected)
        assert_same(again.predict(x), expected)


def test_every_layer_is_tried():
    """A new layer needs a rule, and a stack above."""
    tried = {type(layer) for shape, made in STACKS.values() for layer in made()}
    known = {value for name in L.__all__ if isinstance(value := getattr(L, name), type) and issubclass(value, L.Layer)}
    assert {kind for kind in known - tried if not kind.takes_several} == {L.Layer, L.InputLayer, L.Embedding, L.Lambda}


def test_embedding(tmp_path):
    model = keras.Sequential([L.Embedding(7, 3), L.Conv1D(2, 2)], seed=1)
    model.build((None, 5))
    model.export(tmp_path / "m.onnx")
    x = np.random.default_rng(1).integers(0, 7, (2, 5)).astype(np.float32)
    assert_same(session(tmp_path / "m.onnx").run(None, {"input": x})[0], model.predict(x))
    assert_same(fc.onnx.load(tmp_path / "m.onnx").predict(x), model.predict(x))


def test_a_function_as_a_layer_has_no_word(tmp_path):
    model = keras.Sequential([L.Lambda(lambda x: x + 1, name="mine", input_shape=(3,))])
    with pytest.raises(Unsupported, match="'mine' \\(Lambda\\)"):
        model.export(tmp_path / "m.onnx")


def test_same_padding_of_all_sizes(tmp_path):
    """Borders that differ on both sides, by size, stride and window."""
    for size in range(4, 9):
        layers = [L.Conv2D(2, (3, 4), (2, 3), "same", input_shape=(size, size + 3, 2)), L.MaxPooling2D(3, 2, "same")]
        model = keras.Sequential(layers, seed=1)
        model.export(tmp_path / "m.onnx")
        x = np.random.default_rng(size).standard_normal((2, *model.input_shape[1:]), dtype=np.float32)
        assert_same(session(tmp_path / "m.onnx").run(None, {"input": x})[0], model.predict(x))


def test_declared_input_and_names(tmp_path):
    model = keras.Sequential([L.Input((6, 6, 1)), L.Conv2D(2, 3, name="edges"), L.Flatten(), L.Dense(3)])
    model.export(tmp_path / "m.onnx")
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert [n.name for n in graph.node if n.op_type == "Conv"] == ["edges"]
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == ["N", 6, 6, 1]
    assert [o.name for o in graph.output] == ["output"]


def test_subclass_that_only_sets_arguments(tmp_path):
    class Small(L.Conv2D):
        def __init__(self):
            super().__init__(3, 2, activation="relu")

    model = stacked((4, 4, 2), lambda: [Small()])
    model.export(tmp_path / "m.onnx")
    x = np.ones((1, 4, 4, 2), np.float32)
    assert_same(session(tmp_path / "m.onnx").run(None, {"input": x})[0], model.predict(x))


def test_layers_of_ones_own_are_named(tmp_path):
    class Double(L.Layer):
        def call(self, x):
            return x * 2

    class Shifted(L.Conv2D):
        def linear(self, x, activation=None):
            return super().linear(x, activation) + 1

    model = keras.Sequential([L.Dense(2, input_shape=(3,)), Double(name="twice"), L.Reshape((1, 1, 2))])
    model.add(Shifted(2, 1, name="odd"))
    with pytest.raises(Unsupported, match=r"'twice' \(Double\), 'odd' \(Shifted\)"):
        model.export(tmp_path / "m.onnx")
    model = keras.Sequential([L.Dense(2, activation=lambda x: F.exp(x * 2), name="mine", input_shape=(3,))])
    with pytest.raises(Unsupported, match="'mine' has the activation"):
        model.export(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_wrong_files(tmp_path):
    model = keras.Sequential([L.Dense(2)])
    with pytest.raises(InvalidArgument, match="no weights yet"):
        model.export(tmp_path / "m.onnx")
    model.build((None, 3))
    with pytest.raises(InvalidArgument, match=r"end the name with \.onnx"):
        model.export(tmp_path / "m.pb")
    model.export(tmp_path / "m.onnx")
    with pytest.raises(InvalidArgument, match="is there already"):
        model.export(tmp_path / "m.onnx", overwrite=False)
    mixed = keras.Sequential([L.Dense(2, input_shape=(3,)), L.Dense(2, dtype="float64")])
    with pytest.raises(Unsupported, match="float64"):
        mixed.export(tmp_path / "m.onnx")


def test_without_the_package(tmp_path, monkeypatch):
    model = keras.Sequential([L.Dense(2, input_shape=(3,))])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fastconv\[onnx\]'"):
        model.export(tmp_path / "m.onnx")
    with pytest.raises(MissingExtra, match=r"pip install 'fastconv\[onnx\]'"):
        fc.onnx.load(tmp_path / "m.onnx")


def test_the_example(tmp_path):
    """`python examples/onnx_roundtrip.py`."""
    example = Path(__file__).parents[1] / "examples" / "onnx_roundtrip.py"
    done = subprocess.run(
        [sys.executable, example, tmp_path / "m.onnx"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "onnxruntime and model.predict: 100 images" in done.stdout


def merged():
    """A graph with every layer that takes several tensors, channels-last and -first, and operators."""
    a, b = keras.Input((5, 5, 2), name="a"), keras.Input((3,), name="b")
    x = L.Conv2D(3, 3, padding="same", activation="relu")(a)
    y = L.MaxPooling2D(1)(L.Conv2D(3, 1)(a))
    both = L.Concatenate()([L.Add()([x, y]), L.Maximum()([x, y]), L.Minimum()([x, b])])
    pooled = L.GlobalAveragePooling2D()(both)
    rows = L.Concatenate(axis=1)([L.Reshape((3, 3))(pooled), L.Reshape((1, 3))(b)])
    products = L.Dot((2, 1))([rows, L.Dense(3)(b)])
    cosines = L.Dot((2, 2), normalize=True)([rows, L.Reshape((3, 3))(pooled)])
    crossed = L.Dot((1, 2))([b, rows])
    scalar = L.Dot(1)([b, L.Dense(3)(b)])
    first = L.Dense(2)(L.Subtract()([L.Multiply()([pooled, pooled]), pooled]))
    second = L.Average()([products, crossed, scalar])
    third = (abs(first - 2) ** 2 + np.ones(2, np.float32)).sum(axis=1, keepdims=True) / 3 + scalar
    return keras.Model([a, b], [first, second, third, L.Flatten()(cosines)])


def test_graphs(tmp_path, rng):
    model = merged()
    model.export(tmp_path / "m.onnx")
    ort, again = session(tmp_path / "m.onnx"), fc.onnx.load(tmp_path / "m.onnx")
    given = {
        "a": rng.standard_normal((3, 5, 5, 2), dtype=np.float32),
        "b": rng.standard_normal((3, 3), dtype=np.float32),
    }
    expected = model.predict(given)
    for found in (ort.run(None, given), again.predict(given)):
        found = list(found.values()) if isinstance(found, dict) else found
        for y, wanted in zip(found, expected, strict=True):
            assert_same(y, wanted)


def test_models_inside_of_models(tmp_path, rng):
    inputs = keras.Input((6, 6, 1))
    x = L.Conv2D(2, 3, padding="same")(inputs)
    block = keras.Model(inputs, L.add([x, L.BatchNormalization()(x)]))
    model = keras.Sequential([keras.Input((6, 6, 1)), block, keras.Sequential([L.ReLU(), L.Flatten()]), L.Dense(2)])
    model.export(tmp_path / "m.onnx")
    x = rng.standard_normal((2, 6, 6, 1), dtype=np.float32)
    assert_same(session(tmp_path / "m.onnx").run(None, {"input": x})[0], model.predict(x))
    with pytest.raises(Unsupported, match="training=True"):
        keras.Model(inputs, L.Dropout(0.5)(inputs, training=True)).export(tmp_path / "m.onnx")
