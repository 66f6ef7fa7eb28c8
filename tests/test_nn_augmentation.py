"""Preprocessing and augmentation: values for a given map against SciPy, what is drawn, and when."""

import numpy as np
import pytest
from scipy import ndimage

from fastconv import nn as keras
from fastconv.autograd import functional as F
from fastconv.errors import InvalidArgument

L = keras.layers
MODES = {"constant": "grid-constant", "nearest": "nearest", "wrap": "grid-wrap", "reflect": "reflect"}
IMAGES = [
    lambda **k: L.RandomFlip(**k),
    lambda **k: L.RandomRotation(0.3, **k),
    lambda **k: L.RandomTranslation(0.3, 0.2, **k),
    lambda **k: L.RandomZoom(0.3, 0.2, **k),
    lambda **k: L.RandomContrast(0.3, **k),
    lambda **k: L.RandomBrightness(0.3, (0, 1), **k),
    lambda **k: L.RandomCrop(4, 3, **k),
]


def by_scipy(image, numbers, order, mode, fill):
    matrix, offset = numbers.reshape(2, 3)[:, :2], numbers.reshape(2, 3)[:, 2]
    channels = [
        ndimage.affine_transform(c, matrix, offset, order=order, mode=MODES[mode], cval=fill)
        for c in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("mode", MODES)
def test_affine_maps_as_scipy(mode, interpolation, rng):
    """Far outside, too: the image is repeated, or mirrored, several times."""
    x, maps = rng.standard_normal((4, 6, 5, 2)), rng.standard_normal((4, 6)) * [1, 1, 9, 1, 1, 9]
    options = {"maps": maps, "interpolation": interpolation, "fill_mode": mode, "fill_value": 0.7}
    expected = [by_scipy(i, m, int(interpolation == "bilinear"), mode, 0.7) for i, m in zip(x, maps, strict=True)]
    y = F.affine_transform(x, layout="NHWC", **options).numpy()
    np.testing.assert_allclose(y, expected, atol=1e-12)
    first = F.affine_transform(np.moveaxis(x, -1, 1), layout="NCHW", **options).numpy()
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), y)
    single = F.affine_transform(x.astype(np.float32), layout="NHWC", **options)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("number", range(len(IMAGES)))
def test_in_training_only_and_the_same_for_a_seed(number, rng):
    make = IMAGES[number]
    x = rng.random((5, 6, 4, 3), dtype=np.float32)
    calm = make()(x).numpy()
    np.testing.assert_array_equal(calm, x[:, 1:5, 0:3] if number == 6 else x)
    first, second = make(seed=3), make(seed=3)
    for _ in range(2):
        np.testing.assert_array_equal(first(x, training=True).numpy(), second(x, training=True).numpy())
    assert not np.array_equal(first(x, training=True).numpy(), second(np.flip(x, 0).copy(), training=True).numpy())
    if number < 6:
        turned = make(seed=3, data_format="channels_first")(np.moveaxis(x, -1, 1), training=True).numpy()
        np.testing.assert_allclose(np.moveaxis(turned, 1, -1), make(seed=3)(x, training=True).numpy(), atol=1e-6)


def test_a_fit_with_them_is_repeatable(rng):
    x, y = rng.random((16, 6, 6, 3), dtype=np.float32), rng.integers(0, 2, 16)

    def losses():
        layers = [make() for make in IMAGES]
        layers += [L.Flatten(), L.Dense(2, activation="softmax")]
        model = keras.Sequential([L.Input((6, 6, 3)), *layers], seed=7)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model.fit(x, y, epochs=2, batch_size=8, verbose=0).history["loss"], model.predict(x)

    (first, p), (second, q) = losses(), losses()
    assert first == second
    np.testing.assert_array_equal(p, q)


def test_flips():
    x = np.arange(6.0).reshape(1, 2, 3, 1).repeat(400, axis=0)
    images = {"": x[0], "rows": x[0, ::-1], "columns": x[0, :, ::-1], "both": x[0, ::-1, ::-1]}
    for mode, known in (
        ("horizontal", {"", "columns"}), ("vertical", {"", "rows"}), ("horizontal_and_vertical", set(images))
    ):  # fmt: skip
        y = L.RandomFlip(mode, seed=1)(x, training=True).numpy()
        found = [next(name for name, image in images.items() if np.array_equal(image, each)) for each in y]
        assert set(found) == known
        assert all(abs(found.count(name) / 400 - 1 / len(known)) < 0.08 for name in known)


def test_a_quarter_turn_a_shift_and_a_zoom(rng):
    """Counter-clockwise; down and to the right; out."""
    x = rng.random((1, 5, 5, 2))
    turned = L.RandomRotation((0.25, 0.25), dtype="float64")(x, training=True).numpy()
    np.testing.assert_allclose(turned, np.rot90(x, axes=(1, 2)), atol=1e-12)
    moved = L.RandomTranslation((0.2, 0.2), (0.4, 0.4), "constant", fill_value=9.0, dtype="float64")
    y = moved(x, training=True).numpy()
    np.testing.assert_allclose(y[:, 1:, 2:], x[:, :-1, :-2], atol=1e-12)
    assert (y[:, 0] == 9).all() and (y[:, :, :2] == 9).all()
    zoomed = L.RandomZoom((1.0, 1.0), interpolation="nearest", dtype="float64")(x, training=True).numpy()
    np.testing.assert_allclose(zoomed[0, 1:4, 1:4], x[0, ::2, ::2])


def test_what_is_drawn_lies_within_its_bounds(rng):
    ramp = np.arange(101.0).reshape(1, 101, 1, 1).repeat(300, axis=0)
    place = ramp[:1, 50, 0, 0] - L.RandomTranslation((-0.1, 0.3), 0.0, "nearest", seed=1, dtype="float64")(
        ramp, training=True
    ).numpy()[:, 50, 0, 0]  # fmt: skip
    assert -10.1 <= place.min() < -8 and 28 < place.max() <= 30.3
    zooms = np.diff(L.RandomZoom((-0.5, 0.2), seed=1, dtype="float64")(ramp, training=True).numpy()[:, 50:52, 0, 0])
    assert 0.5 <= zooms.min() < 0.53 and 1.17 < zooms.max() <= 1.2
    x = rng.random((300, 4, 5, 2)) * 100 + 70
    bright = L.RandomBrightness((-0.2, 0.1), seed=1, dtype="float64")(x, training=True).numpy() - x
    shift = bright[:, 0, 0, 0]
    np.testing.assert_allclose(bright, np.broadcast_to(shift[:, None, None, None], x.shape), atol=1e-9)
    assert -51 <= shift.min() < -48 and 23 < shift.max() <= 25.5
    mean = x.mean(axis=(1, 2), keepdims=True)
    stretched = L.RandomContrast((0.5, 0.25), (0, 255), seed=1, dtype="float64")(x, training=True).numpy()
    factor = ((stretched - mean) / (x - mean))[:, 0, 0, 0]
    np.testing.assert_allclose(stretched, (x - mean) * factor[:, None, None, None] + mean)
    assert 0.5 <= factor.min() < 0.53 and 1.22 < factor.max() <= 1.25
    clipped = L.RandomBrightness((1, 1), (0, 255))(x, training=True).numpy()
    assert (clipped == 255).all()


def test_crops_are_parts_of_the_images(rng):
    x = np.arange(48.0).reshape(1, 6, 8, 1).repeat(3, axis=0)
    layer, seen = L.RandomCrop(4, 5, seed=1, dtype="float64"), set()
    for _ in range(60):
        y = layer(x, training=True).numpy()
        assert (y == y[:1]).all()
        i, j = divmod(int(y[0, 0, 0, 0]), 8)
        np.testing.assert_array_equal(y[0], x[0, i : i + 4, j : j + 5])
        seen.add((i, j))
    assert seen == {(i, j) for i in range(3) for j in range(4)}
    small = L.RandomCrop(9, 9)(x, training=True).numpy()
    np.testing.assert_allclose(small, L.Resizing(9, 9, crop_to_aspect_ratio=True)(x).numpy())


def test_rescaling_and_normalization(rng):
    x = rng.random((6, 4, 3)) * 255
    np.testing.assert_allclose(L.Rescaling(1 / 255, -0.5, dtype="float64")(x).numpy(), x / 255 - 0.5)
    np.testing.assert_allclose(L.Rescaling([1, 2, 3], dtype="float64")(x).numpy(), x * [1, 2, 3])
    for axis, reduced in ((-1, (0, 1)), ((1, 2), (0,)), (None, (0, 1, 2)), (1, (0, 2))):
        layer = L.Normalization(axis, dtype="float64")
        layer.adapt(x)
        mean, deviation = x.mean(axis=reduced, keepdims=True), x.std(axis=reduced, keepdims=True)
        np.testing.assert_allclose(layer(x).numpy(), (x - mean) / deviation, atol=1e-12)
        in_batches = L.Normalization(axis, invert=True, dtype="float64")
        in_batches.adapt((x[i : i + 2], None) for i in (0, 2, 4))
        np.testing.assert_allclose(in_batches(x).numpy(), x * deviation + mean)
    given = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 4.0, 4.0], dtype="float64")
    np.testing.assert_allclose(given(x).numpy(), (x - [1, 2, 3]) / 2)
    with pytest.raises(InvalidArgument, match="mean and variance come together"):
        L.Normalization(mean=1.0)
    with pytest.raises(InvalidArgument, match="nothing to adapt"):
        given.adapt(x)
    with pytest.raises(InvalidArgument, match="scale of shape"):
        L.Rescaling([1, 2])(x)
    with pytest.raises(InvalidArgument, match="no batches"):
        L.Normalization().adapt(iter([]))


def test_wrong_arguments(rng):
    with pytest.raises(InvalidArgument, match="did you mean 'reflect'"):
        L.RandomRotation(0.1, "reflekt")
    with pytest.raises(InvalidArgument, match="factor is 2"):
        L.RandomRotation(2)
    with pytest.raises(InvalidArgument, match="factor is"):
        L.RandomRotation((0.1, 0.2, 0.3))
    with pytest.raises(InvalidArgument, match="height_factor is -1"):
        L.RandomZoom(-1)
    with pytest.raises(InvalidArgument, match="two numbers"):
        L.RandomBrightness(0.1, 5)
    with pytest.raises(InvalidArgument, match="six finite numbers for each of 2 images"):
        F.affine_transform(np.ones((2, 3, 3, 1)), maps=np.ones((1, 6)))
    with pytest.raises(InvalidArgument, match="2 spatial axes"):
        L.RandomFlip()(rng.random((2, 3, 4)), training=True)
