"""The lectures' pictures: their numbers against formulas of their own, and what they refuse."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, show
from fastconv.errors import InvalidArgument, MissingExtra, Unsupported
from fastconv.nn import layers as L
from fastconv.show import examples
from fastconv.show.confusion import class_table
from fastconv.show.edges import CURVE, KERNELS, outlines, response
from fastconv.show.embeddings import principal_components, representation
from fastconv.show.fft import overlap_save
from fastconv.show.matrix import convolution_matrix
from fastconv.show.receptive import receptive_fields
from fastconv.show.still_life import still_life
from fastconv.show.windows import axis_of, output_rule
from fastconv.show.winograd import FILTER, INPUT, OUTPUT, products

RNG = np.random.default_rng(0)


def small_subject(classes=4, count=30, shape=(8, 8, 1)):
    """A network of a few weights that nobody trained, and images."""
    model = nn.Sequential(seed=1)
    model.add(L.Conv2D(3, 3, activation="relu", input_shape=shape))
    model.add(L.MaxPooling2D(2))
    model.add(L.Flatten())
    model.add(L.Dense(5, activation="relu"))
    model.add(L.Dense(classes, activation="softmax"))
    x = RNG.random((count, *shape), np.float32)
    data = show.Labelled(x, np.arange(count) % classes, tuple(f"class {i}" for i in range(classes)))
    history = {"loss": [1.0, 0.5], "accuracy": [0.4, 0.6], "val_loss": [0.8, math.nan], "val_accuracy": [0.5, 0.7]}
    return show.Subject(model, data, given_photograph=RNG.random((40, 50)), given_history=history)


# Receptive fields


def test_the_lectures_receptive_fields():
    pooled, plain = (receptive_fields(examples.three_convolutions(p)) for p in (True, False))
    last, other = ([f for f in fields if f.kind == "Conv2D"][-1] for fields in (pooled, plain))
    assert last.size == (18, 18) and last.share == 18 * 18 / 784 and round(100 * last.share, 1) == 41.3
    assert other.size == (7, 7) and other.share == 49 / 784 == 0.0625
    assert [f.size[0] for f in pooled] == [3, 4, 8, 10, 18, 18, 26, 26]
    assert [p.data.size for layer in examples.three_convolutions().layers for p in layer.weights][::2] == [
        n - b for n, b in zip((320, 18496, 36928, 36928, 650), (32, 64, 64, 64, 10), strict=True)
    ]


def by_the_rule(steps):
    """Size and jump by r + (k - 1) d j and j s, from (kernel, stride, dilation)."""
    size = jump = 1
    for kernel, stride, dilation in steps:
        size, jump = size + (kernel - 1) * dilation * jump, jump * stride
    return size, jump


def seen(model, layer):
    """Rows and columns of the input that the middle unit of a layer depends on, by changing the input's pixels."""
    _, height, width, _ = model.input_shape
    maps = model.feature_maps(np.eye(height * width, dtype=np.float32).reshape(-1, height, width, 1))[layer]
    base = model.feature_maps(np.zeros((1, height, width, 1), np.float32))[layer]
    middle = tuple(n // 2 for n in base.shape[1:3])
    changed = np.abs(maps - base)[(slice(None), *middle)].sum(axis=1).reshape(height, width)
    rows, columns = np.flatnonzero(changed.sum(axis=1)), np.flatnonzero(changed.sum(axis=0))
    return (rows[0], rows[-1]), (columns[0], columns[-1])


STACKS = {
    "plain": [(L.Conv2D, (5, 3), 1, "valid"), (L.Conv2D, (3, 3), (2, 1), "same"), (L.Conv2D, (2, 4), 1, "valid")],
    "pools": [(L.Conv2D, 3, 1, "same"), (L.AveragePooling2D, 3, 2, "same"), (L.Conv2D, 3, 1, "valid")],
    "dilated": [(L.Conv2D, 3, 1, "same", (2, 3)), (L.AveragePooling2D, 2, 2, "valid"), (L.Conv2D, 3, 1, "same", 2)],
    "transposed": [(L.Conv2D, 3, 2, "same"), (L.Conv2DTranspose, 4, 2, "same"), (L.Conv2D, 3, 1, "same")],
    "transposed, odd": [
        (L.Conv2DTranspose, 3, 2, "valid"),
        (L.Conv2DTranspose, 2, 3, "valid"),
        (L.Conv2D, 2, 1, "same"),
    ],
}


@pytest.mark.parametrize("name", STACKS)
def test_receptive_fields_are_what_units_depend_on(name):
    """Positive weights and no bias: a unit is 0 unless it sees the pixel."""
    model = nn.Sequential([L.Input(shape=(23, 26, 1))])
    for kind, size, stride, padding, *more in STACKS[name]:
        if kind is L.AveragePooling2D:
            model.add(kind(size, stride, padding))
        else:
            model.add(kind(1, size, stride, padding, **({"dilation_rate": more[0]} if more else {}), use_bias=False))
    model.add(L.ZeroPadding2D(((2, 0), (0, 1))))
    model.build()
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    fields = receptive_fields(model)
    assert [f.layer for f in fields] == [layer.name for layer in model.layers]
    for field, layer in zip(fields, model.layers, strict=True):
        assert field.output == tuple(layer.output_shape[1:3])
        assert field.centre == seen(model, layer.name), layer.name


RESIZED = {
    "cropping": lambda: L.Cropping2D(((2, 1), (0, 3))),
    "upsampling": lambda: L.UpSampling2D((2, 3)),
    "upsampling, bilinear": lambda: L.UpSampling2D(2, interpolation="bilinear"),
    "resizing, up": lambda: L.Resizing(31, 40),
    "resizing, down": lambda: L.Resizing(9, 13),
    "resizing, by 3": lambda: L.Resizing(7, 10),
    "resizing, nearest": lambda: L.Resizing(10, 11, interpolation="nearest"),
    "resizing, bicubic": lambda: L.Resizing(9, 35, interpolation="bicubic"),
    "resizing, lanczos": lambda: L.Resizing(18, 16, interpolation="lanczos3"),
    "resizing, antialiased": lambda: L.Resizing(8, 40, antialias=True),
    "resizing, cropped": lambda: L.Resizing(10, 20, crop_to_aspect_ratio=True),
    "resizing, padded": lambda: L.Resizing(10, 20, pad_to_aspect_ratio=True),
    "centre": lambda: L.CenterCrop(10, 11),
    "centre of larger": lambda: L.CenterCrop(40, 20),
}


@pytest.mark.parametrize("name", RESIZED)
def test_receptive_fields_through_what_resizes(name):
    model = nn.Sequential([L.Input(shape=(21, 30, 1)), L.Conv2D(1, 3, use_bias=False), RESIZED[name]()])
    model.add(L.Conv2D(1, (2, 1), use_bias=False))
    model.build()
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    for field, layer in zip(receptive_fields(model), model.layers, strict=True):
        assert field.output == tuple(layer.output_shape[1:3])
        assert field.centre == seen(model, layer.name), layer.name


def test_receptive_fields_through_what_merges():
    """Squeeze and excitation: each unit sees all of the image through the gate; an image joined to a column of it."""
    x = inputs = L.Input((12, 10, 2))
    x = L.Conv2D(4, 3)(x)
    gate = L.Reshape((1, 1, 4))(L.Dense(4)(L.GlobalAveragePooling2D()(x)))
    gated = nn.Model(inputs, L.Multiply()([x, gate]))
    assert receptive_fields(gated)[-1].size == (12, 10) and receptive_fields(gated)[-1].output == (10, 8)
    column = L.Conv2D(4, (1, 8))(x)
    joined = receptive_fields(nn.Model(inputs, L.Add()([x, column])))[-1]
    assert joined.output == (10, 8) and joined.size == (3, 10) and joined.centre == ((5, 7), (0, 9))
    assert receptive_fields(nn.Model(inputs, x * 2.0))[-1].size == (3, 3)
    assert receptive_fields(nn.Model(inputs, L.Add()([x, x])))[-1].size == (3, 3)
    flat = L.Flatten()(x)
    angle = receptive_fields(nn.Model(inputs, L.Dot(1)([L.Dense(3)(flat), L.Dense(3)(flat)])))[-1]
    assert angle.share == 1.0
    with pytest.raises(Unsupported, match="layer 'dot"):
        receptive_fields(nn.Model(inputs, L.Dot(3)([x, x])))


def test_receptive_fields_follow_the_rule():
    steps = [(3, 1, 1), (2, 2, 1), (5, 3, 2), (3, 1, 4)]
    model = nn.Sequential([L.Input(shape=(200, 200, 1))])
    model.add(L.Conv2D(1, 3))
    model.add(L.MaxPooling2D(2))
    model.add(L.Conv2D(1, 5, padding="same"))
    model.layers[-1].dilation_rate = (2, 2)
    model.add(L.AveragePooling2D(1, 3))
    model.add(L.Conv2D(1, 3, dilation_rate=4))
    model.add(L.GlobalAveragePooling2D())
    fields = receptive_fields(model)
    assert fields[-2].size[0], fields[-2].jump[0] == by_the_rule([steps[0], steps[1], (5, 1, 2), (1, 3, 1), (3, 1, 4)])
    assert fields[-1].size[0] > fields[-2].size[0] and fields[-1].jump == (0, 0)


def test_receptive_fields_in_one_and_three_dimensions_and_channels_first():
    signal = nn.Sequential([L.Conv1D(2, 4, strides=2, padding="causal", input_shape=(30, 2)), L.MaxPooling1D(3)])
    assert [f.size for f in receptive_fields(signal)] == [(4,), (8,)]
    first = nn.Sequential([L.Conv2D(2, (3, 5), data_format="channels_first", input_shape=(3, 9, 11))])
    assert receptive_fields(first)[0].size == (3, 5) and receptive_fields(first)[0].output == (7, 7)
    volume = nn.Sequential([L.Conv3D(1, (1, 2, 3), input_shape=(5, 6, 7, 1))])
    assert receptive_fields(volume)[0].share == 6 / 210


def test_receptive_fields_refuse():
    with pytest.raises(InvalidArgument, match="no spatial axes"):
        receptive_fields(nn.Sequential([L.Dense(2, input_shape=(3,))]))
    with pytest.raises(InvalidArgument, match="input_shape="):
        receptive_fields(nn.Sequential([L.Conv2D(1, 3)]))
    with pytest.raises(Unsupported, match="layer 'permute'"):
        receptive_fields(nn.Sequential([L.Permute((2, 1, 3), input_shape=(8, 8, 1))]))


# Other numbers in the pictures


@pytest.mark.parametrize("size", [5, 7, 12])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_output_sizes(size, kernel, stride, dilation):
    for padding in ("valid", "same", "full", 1):
        extent = dilation * (kernel - 1) + 1
        borders = {"valid": 0, "full": 2 * (extent - 1), 1: 2}
        borders["same"] = max(0, (math.ceil(size / stride) - 1) * stride + extent - size)
        if size + borders[padding] < extent:
            continue
        count = len(range(0, size + borders[padding] - extent + 1, stride))  # by counting windows
        axis = axis_of(size, kernel, stride, padding, dilation)
        assert axis.out == count and output_rule(axis).endswith(f"= {count}")


def test_matrix_of_a_convolution():
    w, x = RNG.random((3, 2), np.float32), RNG.random((5, 6), np.float32)
    matrix = convolution_matrix(w, (5, 6))
    assert matrix.shape == (3 * 5, 30)
    np.testing.assert_allclose(matrix @ x.ravel(), fc.conv2d(x[None, None], w[None, None]).ravel(), rtol=1e-5)
    for i, j, u, v in np.ndindex(3, 5, 3, 2):
        assert matrix[i * 5 + j, (i + u) * 6 + j + v] == w[u, v]
    assert np.count_nonzero(matrix) == 15 * 6


def test_winograd_and_fft_are_convolutions():
    x, w = RNG.random((4, 4)), RNG.random((3, 3))
    y = OUTPUT @ ((FILTER @ w @ FILTER.T) * (INPUT @ x @ INPUT.T)) @ OUTPUT.T
    expected = [[(x[i : i + 3, j : j + 3] * w).sum() for j in range(2)] for i in range(2)]
    np.testing.assert_allclose(y, expected)
    assert products(2) == (36, 16)
    signal, taps = RNG.random(100), RNG.random(9)
    np.testing.assert_allclose(overlap_save(signal, taps, 32)[0], np.convolve(signal, taps, "valid"))


def test_kernels_drawn_by_hand():
    ramp = np.tile(np.arange(20, dtype=np.float32), (20, 1))
    assert (response(ramp, KERNELS["Sobel-X"])[:, 1:-1] == 8).all() and not response(ramp, KERNELS["Sobel-Y"]).any()
    assert not response(ramp, KERNELS["Laplacian"])[:, 1:-1].any()
    np.testing.assert_allclose(response(ramp, KERNELS["blur"])[:, 3:-3], ramp[:, 3:-3], rtol=1e-5)
    assert CURVE.shape == (7, 7) and set(np.unique(CURVE)) == {0, 30}
    picture = still_life(64)
    assert picture.shape == (64, 64) and 0 <= picture.min() < 0.2 and 0.9 < picture.max() <= 1
    assert outlines(picture).max() == 1


def test_principal_components():
    points = RNG.standard_normal((50, 4)) * [5, 1, 0.5, 0.1]
    xy, shares = principal_components(points, 2)
    values = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(shares, values[:2] / values.sum())
    np.testing.assert_allclose(xy.var(axis=0, ddof=1), values[:2])
    assert abs(xy[:, 0] @ xy[:, 1]) < 1e-9


def test_representation():
    subject = small_subject()
    dense = subject.model.layers[3]
    assert representation(subject.model, subject.images).shape == (30, 5)
    assert representation(subject.model, subject.images, "conv2d").shape == (30, 6 * 6 * 3)
    np.testing.assert_array_equal(
        representation(subject.model, subject.images), subject.model.feature_maps(subject.images)[dense.name]
    )


def test_class_table():
    counts = RNG.integers(1, 9, (4, 4))
    counts[:, 3] = 0
    true = np.repeat(np.repeat(np.arange(4), 4), counts.ravel())
    taken = np.repeat(np.tile(np.arange(4), 4), counts.ravel())
    for k, row in enumerate(class_table(counts, "abcd")):
        hits = np.sum((true == k) & (taken == k))
        assert row.support == np.sum(true == k) and row.recall == hits / np.sum(true == k)
        if k == 3:
            assert math.isnan(row.precision) and row.f1 == 0
        else:
            assert row.precision == pytest.approx(np.mean(true[taken == k] == k))
            assert row.f1 == pytest.approx(2 * row.precision * row.recall / (row.precision + row.recall))


# The table of pictures


def test_every_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    subject = small_subject()
    for name, picture in show.PICTURES.items():
        figure = picture.draw(subject)
        assert figure.axes and all(size > 1 for size in figure.get_size_inches()), name
        assert picture.caption.endswith(".") and picture.title and picture.name == name
    show.save_figure(figure, tmp_path / "last.svg")
    ET.parse(tmp_path / "last.svg")
    first = (tmp_path / "last.svg").read_bytes()
    show.save_figure(show.draw(name, subject), tmp_path / "last.svg")
    assert (tmp_path / "last.svg").read_bytes() == first  # the same picture is the same file


def test_options_of_pictures():
    pytest.importorskip("matplotlib")
    show.draw("padding", size=6, kernel=4, stride=2)
    show.draw("stride", strides=(1, 4), padding="same")
    show.draw("pooling", size=3, stride=1)
    with pytest.raises(InvalidArgument, match="no option 'strid'; did you mean 'stride'"):
        show.draw("padding", strid=2)
    with pytest.raises(InvalidArgument, match="no option 'kernel'; it takes none"):
        show.draw("edges", kernel=2)
    with pytest.raises(InvalidArgument, match="did you mean 'filters'"):
        show.picture("filtres")
    with pytest.raises(InvalidArgument, match="size is 500"):
        show.draw("padding", size=500)


def test_pictures_refuse():
    pytest.importorskip("matplotlib")
    subject = small_subject()
    with pytest.raises(InvalidArgument, match="those with filters are conv2d"):
        show.draw("filters", subject, layer="dense")
    with pytest.raises(InvalidArgument, match="the model takes"):
        subject.given_image = np.zeros((9, 9, 1))
        show.draw("feature-maps", subject)
    with pytest.raises(InvalidArgument, match="give those that the model is meant for"):
        show.draw("misclassified", show.Subject(subject.model))
    with pytest.raises(InvalidArgument, match="one of pca, tsne"):
        show.draw("embeddings", small_subject(), method="umap")
    with pytest.raises(InvalidArgument, match=r"end the name with \.png or \.svg"):
        show.save_figure(show.draw("padding"), "picture.jpg")


def test_nothing_misclassified():
    pytest.importorskip("matplotlib")
    shares, labels = np.eye(3), np.arange(3)
    figure = show.PICTURES["misclassified"].function(np.zeros((3, 4, 4, 1)), labels, shares, "abc")
    assert "Every one of 3 images" in figure.get_suptitle()


def test_settings_of_the_user_change_nothing():
    mpl = pytest.importorskip("matplotlib")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        axes = show.draw("fft").axes
        assert axes[0].get_facecolor() == (1, 1, 1, 1) and axes[0].title.get_fontsize() == 11
        assert mpl.rcParams["font.size"] == 30


def test_without_matplotlib(monkeypatch):
    monkeypatch.setattr("fastconv.show.figures.available", lambda: False)
    with pytest.raises(MissingExtra, match=r"pip install 'fastconv\[plots\]'"):
        show.draw("padding")
    assert show.picture("receptive-field").rows()[0][5][3] == "18×18"
