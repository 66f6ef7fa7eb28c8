"""Models for images of any size: ``Input((None, None, 3))``."""

import numpy as np
import onnx
import pytest
from onnx_graphs import session
from test_nn_layers import LAYERS

from fastconv import nn as keras
from fastconv.errors import InvalidArgument, Unsupported
from fastconv.nn.basics.unknown import fits

L = keras.layers
OPEN = [(make, shape) for make, shape in LAYERS if len(shape) > 1]


def opened(layer, shape):
    """The shape of an image with unknown sizes in place of those of its spatial axes."""
    if getattr(layer, "channels_last", True) and getattr(layer, "axis", -1) != 1:
        return (*(None for _ in shape[:-1]), shape[-1])
    return (shape[0], *(None for _ in shape[1:]))


@pytest.mark.parametrize(("make", "shape"), OPEN)
def test_layers_of_any_size_are_the_layers_of_each_size(make, shape, rng):
    layer, closed = make(), make()
    try:
        made = layer(keras.Input(opened(layer, shape)))
    except InvalidArgument as error:
        assert "must know axis" in str(error)
        assert isinstance(layer, (L.LayerNormalization, L.RMSNormalization, L.PReLU))  # of which each pixel has weights
        return
    x = rng.standard_normal((2, *shape)).astype(np.float32)
    assert fits(closed(x).shape, made.shape)
    closed.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x).numpy(), closed(x).numpy())


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (lambda: L.Conv2D(8, 3, strides=2, padding="same"), (None, None, 3), (None, None, None, 8)),
        (lambda: L.Conv2D(8, (1, 41)), (None, 50, 3), (None, None, 10, 8)),
        (lambda: L.Conv2D(8, 41, data_format="channels_first"), (3, None, None), (None, 8, None, None)),
        (lambda: L.MaxPooling2D(2), (28, None, 3), (None, 14, None, 3)),
        (lambda: L.GlobalAveragePooling2D(), (None, None, 3), (None, 3)),
        (lambda: L.Conv1D(4, 3, padding="causal"), (None, 2), (None, None, 4)),
        (lambda: L.Conv3D(4, 3), (None, None, None, 2), (None, None, None, None, 4)),
        (lambda: L.Flatten(), (None, None, 3), (None, None)),
        (lambda: L.Reshape((-1, 3)), (None, None, 3), (None, None, 3)),
        (lambda: L.Resizing(8, 9), (None, None, 3), (None, 8, 9, 3)),
        (lambda: L.UpSampling2D(2), (None, 7, 3), (None, None, 14, 3)),
        (lambda: L.Permute((3, 1, 2)), (None, 7, 3), (None, 3, None, 7)),
        (lambda: L.Embedding(5, 4), (None,), (None, None, 4)),
        (lambda: L.Lambda(lambda x: x[:, ::2] * 2), (None, 4), (None, None, 4)),
    ],
)
def test_shapes_are_those_that_keras_names(layer, shape, expected):
    assert layer()(keras.Input(shape)).shape == expected


def unet(**options):
    inputs = keras.Input((None, None, 1), **options)
    above = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    below = L.Conv2D(8, 3, strides=2, padding="same", activation="relu")(above)
    below = L.GroupNormalization(2)(below)
    back = L.Conv2DTranspose(4, 2, strides=2)(below)
    y = L.Concatenate()([back, above])
    return keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid")(y) * 0.5 + 0.25)


def test_a_model_trains_and_predicts_on_images_of_each_size(rng):
    model = unet()
    assert model.output_shape == (None, None, None, 1)
    model.compile("sgd", "binary_crossentropy")
    for size in ((8, 12), (6, 4)):
        x = rng.random((4, *size, 1))
        first = model.evaluate(x, x.round(), verbose=0)
        model.fit(x, x.round(), epochs=3, verbose=0)
        assert model.evaluate(x, x.round(), verbose=0) < first
        assert model.predict(x, verbose=0).shape == (4, *size, 1)
    with pytest.raises(InvalidArgument, match=r"samples of shape \(8, 12, 3\).*\(None, None, 1\)"):
        model.predict(np.zeros((2, 8, 12, 3)), verbose=0)
    with pytest.raises(InvalidArgument, match="shape"):
        model.fit(np.zeros((2, 8, 12, 1)), np.zeros((2, 4, 6, 1)), verbose=0)


def test_a_head_needs_to_know_its_features():
    with pytest.raises(InvalidArgument, match=r"'dense' must know axis 1 of its input \(None, None\).*GlobalAverage"):
        keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(2, 3), L.Flatten(), L.Dense(3)])
    with pytest.raises(InvalidArgument, match="must know axis 3"):
        L.Conv2D(2, 3)(keras.Input((None, None, None)))
    with pytest.raises(InvalidArgument, match="whole numbers above 0"):
        keras.Input((None, 0, 3))


def test_inside_of_another_model_sizes_become_known(rng):
    inner = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(2, 3), L.GlobalMaxPooling2D()])
    outer = keras.Sequential([keras.Input((9, 8, 3)), inner, L.Dense(2)])
    assert outer.predict(rng.random((2, 9, 8, 3)), verbose=0).shape == (2, 2)
    with pytest.raises(InvalidArgument):
        keras.Sequential([keras.Input((9, 8, 4)), inner])


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_files_keep_that_sizes_are_open(name, rng, tmp_path):
    model, x = unet(name="images", batch_size=4), rng.random((2, 6, 8, 1)).astype(np.float32)
    model.save(tmp_path / name)
    again = keras.models.load_model(tmp_path / name)
    assert again.input_shape == (None, None, None, 1)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert keras.models.model_from_json(model.to_json()).output_shape == model.output_shape


def test_onnx_has_open_axes(rng, tmp_path):
    model, path = unet(), tmp_path / "model.onnx"
    model.export(path)
    axes = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert len({d.dim_param for d in axes[:3]}) == 3
    for shape in ((1, 6, 8, 1), (3, 10, 4, 1)):
        x = rng.random(shape).astype(np.float32)
        (y,) = session(path).run(None, {"input": x})
        np.testing.assert_allclose(y, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    resized = keras.Sequential([keras.Input((None, None, 3)), L.Resizing(4, 4)])
    with pytest.raises(Unsupported, match="known sizes only"):
        resized.export(path)
