"""Layers: shapes, values against torch, weights, and what they refuse."""

import itertools

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.autograd import Tensor
from fastconv.errors import InvalidArgument

L = keras.layers


def build(layer, x):
    y = layer(x.astype(np.float32))
    assert y.shape[1:] == layer.output_shape[1:], "compute_output_shape and call disagree"
    assert y.dtype == np.float32
    return y


LAYERS = [
    (lambda: L.Conv1D(4, 3, padding="causal", dilation_rate=2), (9, 2)),
    (lambda: L.Conv1D(4, 3, strides=2, padding="same"), (9, 2)),
    (lambda: L.Conv2D(4, (3, 2), strides=(2, 1), activation="relu"), (9, 8, 2)),
    (lambda: L.Conv2D(4, 3, padding="same", groups=2, use_bias=False, data_format="channels_first"), (2, 9, 8)),
    (lambda: L.Conv3D(3, 2, padding="same", strides=2), (5, 4, 3, 2)),
    (lambda: L.DepthwiseConv2D(3, padding="same", depth_multiplier=2), (6, 6, 3)),
    (lambda: L.DepthwiseConv2D((2, 3), strides=2, data_format="channels_first"), (3, 6, 6)),
    (lambda: L.Conv1DTranspose(3, 3, strides=2), (5, 2)),
    (lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same"), (5, 4, 2)),
    (lambda: L.Conv2DTranspose(3, 2, strides=3), (5, 4, 2)),
    (
        lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1, data_format="channels_first"),
        (2, 5, 4),
    ),
    (lambda: L.Conv3DTranspose(2, 2, strides=2), (3, 2, 2, 1)),
    (lambda: L.Dense(5, activation="tanh"), (7,)),
    (lambda: L.Dense(5, use_bias=False), (3, 7)),
    (lambda: L.Activation("softmax"), (4,)),
    (lambda: L.ReLU(), (4, 2)),
    (lambda: L.ReLU(negative_slope=0.1), (4, 2)),
    (lambda: L.LeakyReLU(), (4, 2)),
    (lambda: L.Softmax(axis=1), (4, 2)),
    (lambda: L.BatchNormalization(), (4, 4, 3)),
    (lambda: L.BatchNormalization(axis=1, scale=False), (3, 4, 4)),
    (lambda: L.Dropout(0.5), (4,)),
    (lambda: L.Flatten(), (4, 3, 2)),
    (lambda: L.Flatten(data_format="channels_first"), (4, 3, 2)),
    (lambda: L.Reshape((2, -1)), (4, 3)),
    (lambda: L.Permute((2, 1)), (4, 3)),
    (lambda: L.MaxPooling1D(), (5, 2)),
    (lambda: L.MaxPooling2D(3, strides=2, padding="same"), (7, 6, 2)),
    (lambda: L.MaxPooling2D(data_format="channels_first"), (2, 7, 6)),
    (lambda: L.MaxPooling3D(2), (4, 4, 4, 1)),
    (lambda: L.AveragePooling1D(2), (5, 2)),
    (lambda: L.AveragePooling2D(3, strides=2, padding="same"), (7, 6, 2)),
    (lambda: L.AveragePooling3D(2), (4, 4, 4, 1)),
    (lambda: L.GlobalAveragePooling1D(), (5, 2)),
    (lambda: L.GlobalAveragePooling2D(data_format="channels_first"), (2, 5, 4)),
    (lambda: L.GlobalAveragePooling3D(keepdims=True), (3, 2, 2, 2)),
    (lambda: L.GlobalMaxPooling1D(), (5, 2)),
    (lambda: L.GlobalMaxPooling2D(keepdims=True, data_format="channels_first"), (2, 5, 4)),
    (lambda: L.GlobalMaxPooling3D(), (3, 2, 2, 2)),
    (lambda: L.ZeroPadding1D((1, 2)), (5, 2)),
    (lambda: L.ZeroPadding2D(((1, 0), (2, 3))), (5, 4, 2)),
    (lambda: L.ZeroPadding2D((1, 2), data_format="channels_first"), (2, 5, 4)),
    (lambda: L.ZeroPadding3D(1), (2, 2, 2, 1)),
    (lambda: L.DepthwiseConv1D(3, padding="same", depth_multiplier=2), (6, 3)),
    (lambda: L.SeparableConv1D(4, 3, padding="causal", depth_multiplier=2), (7, 3)),
    (lambda: L.SeparableConv2D(4, (3, 2), strides=2, activation="relu"), (7, 6, 3)),
    (lambda: L.SeparableConv2D(4, 3, padding="same", data_format="channels_first"), (3, 7, 6)),
    (lambda: L.ELU(0.5), (4, 2)),
    (lambda: L.PReLU(shared_axes=[1]), (4, 2)),
    (lambda: L.ReLU(max_value=1, negative_slope=0.2, threshold=0.5), (4, 2)),
    (lambda: L.LayerNormalization(), (4, 5, 3)),
    (lambda: L.LayerNormalization(axis=[1, -1], center=False), (4, 5, 3)),
    (lambda: L.GroupNormalization(2), (4, 5, 4)),
    (lambda: L.GroupNormalization(-1, axis=1, scale=False), (4, 5, 3)),
    (lambda: L.RMSNormalization(), (4, 6)),
    (lambda: L.UnitNormalization(axis=1), (4, 6)),
    (lambda: L.Identity(), (4,)),
    (lambda: L.ActivityRegularization(0.1), (4,)),
    (lambda: L.Lambda(lambda x: x[:, 1:] * 2.0), (4, 3)),
    (lambda: L.RepeatVector(3), (4,)),
    (lambda: L.Cropping1D((1, 2)), (5, 2)),
    (lambda: L.Cropping2D(((1, 0), (2, 1)), data_format="channels_first"), (2, 5, 4)),
    (lambda: L.Cropping3D(1), (3, 4, 3, 1)),
    (lambda: L.UpSampling1D(3), (4, 2)),
    (lambda: L.UpSampling2D((2, 3), data_format="channels_first"), (2, 3, 4)),
    (lambda: L.UpSampling2D(2, interpolation="bicubic"), (3, 4, 2)),
    (lambda: L.UpSampling3D(2), (2, 3, 2, 1)),
    (lambda: L.SpatialDropout1D(0.5), (4, 3)),
    (lambda: L.SpatialDropout2D(0.5, data_format="channels_first"), (3, 4, 2)),
    (lambda: L.SpatialDropout3D(0.5), (2, 2, 2, 3)),
    (lambda: L.Dropout(0.5, noise_shape=(None, 1)), (4,)),
    (lambda: L.GaussianNoise(0.5), (4, 3)),
    (lambda: L.GaussianDropout(0.5), (4, 3)),
    (lambda: L.AlphaDropout(0.5), (4, 3)),
    (lambda: L.Rescaling([0.5, 2.0], offset=1), (4, 2)),
    (lambda: L.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0]), (4, 2)),
    (lambda: L.Resizing(3, 7, "bilinear"), (5, 4, 2)),
    (lambda: L.Resizing(3, 7, "lanczos3", crop_to_aspect_ratio=True, data_format="channels_first"), (2, 5, 4)),
    (lambda: L.Resizing(6, 3, "nearest", pad_to_aspect_ratio=True, antialias=True), (5, 4, 2)),
    (lambda: L.CenterCrop(3, 2), (5, 4, 2)),
    (lambda: L.CenterCrop(6, 3), (5, 4, 2)),
    (lambda: L.RandomCrop(3, 2), (5, 4, 2)),
    (lambda: L.RandomFlip(data_format="channels_first"), (2, 5, 4)),
    (lambda: L.RandomRotation(0.2), (5, 4, 2)),
    (lambda: L.RandomTranslation(0.2, (-0.1, 0.3), "constant"), (5, 4, 2)),
    (lambda: L.RandomZoom(0.3, fill_mode="wrap", interpolation="nearest"), (5, 4, 2)),
    (lambda: L.RandomContrast(0.5), (5, 4, 2)),
    (lambda: L.RandomBrightness(0.5), (5, 4, 2)),
]


@pytest.mark.parametrize("case", range(len(LAYERS)))
def test_shapes_are_as_announced_and_gradients_reach_the_input(case, rng):
    make, shape = LAYERS[case]
    layer = make()
    x = Tensor(rng.standard_normal((2, *shape)).astype(np.float32), requires_grad=True)
    y = layer(x, training=True)
    assert y.shape == (2, *layer.output_shape[1:])
    y.backward(np.ones(y.shape))
    assert x.grad.shape == x.shape
    for w in layer.trainable_weights:
        assert w.grad.shape == w.shape
        assert w.grad.dtype == w.dtype


def test_every_public_layer_has_a_case():
    tested = {type(make()) for make, _ in LAYERS}
    public = {kind for name in L.__all__ if isinstance(kind := getattr(L, name), type) and issubclass(kind, L.Layer)}
    several = {kind for kind in public if kind.takes_several}  # tests/test_nn_graph.py has cases of these
    assert public - several - {L.Layer, L.InputLayer} == tested | {L.Embedding}  # no gradient reaches its input


def test_same_weights_in_both_data_formats(rng):
    x = rng.standard_normal((2, 7, 6, 4)).astype(np.float32)
    for make in (
        lambda f: L.Conv2D(6, 3, strides=2, padding="same", groups=2, activation="tanh", data_format=f),
        lambda f: L.DepthwiseConv2D(3, depth_multiplier=2, data_format=f),
        lambda f: L.Conv2DTranspose(3, 3, strides=2, data_format=f),
        lambda f: L.MaxPooling2D(2, data_format=f),
        lambda f: L.AveragePooling2D(3, strides=2, padding="same", data_format=f),
        lambda f: L.ZeroPadding2D(2, data_format=f),
        lambda f: L.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2, data_format=f),
        lambda f: L.Cropping2D(((1, 0), (2, 1)), data_format=f),
        lambda f: L.UpSampling2D((2, 3), data_format=f),
        lambda f: L.UpSampling2D(2, data_format=f, interpolation="bilinear"),
        lambda f: L.Resizing(5, 9, "bicubic", data_format=f),
        lambda f: L.GroupNormalization(2, axis=-1 if f == "channels_last" else 1),
        lambda f: L.BatchNormalization(axis=-1 if f == "channels_last" else 1),
    ):
        last, first = make("channels_last"), make("channels_first")
        y = build(last, x).numpy()
        first(np.moveaxis(x, -1, 1))
        first.set_weights(last.get_weights())
        z = first(np.moveaxis(x, -1, 1)).numpy()
        np.testing.assert_allclose(np.moveaxis(z, 1, -1), y, rtol=1e-5, atol=1e-5)
    flat = L.Flatten(data_format="channels_first")(np.moveaxis(x, -1, 1)).numpy()
    np.testing.assert_array_equal(flat, x.reshape(2, -1))


def test_layers_against_torch(rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((3, 8, 9, 4)).astype(np.float32)
    t = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))

    def check(layer, module, kernel_axes=None):
        y = layer(x, training=True)
        if kernel_axes is not None:
            kernel, bias = layer.get_weights()
            module.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.transpose(kernel_axes)))
            module.bias.data = torch.from_numpy(bias)
        with torch.no_grad():
            expected = np.moveaxis(module(t).numpy(), 1, -1)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-4)

    nn = torch.nn
    check(L.Conv2D(6, 3, padding="same"), nn.Conv2d(4, 6, 3, padding=1), (3, 2, 0, 1))
    check(L.Conv2D(6, 3, strides=2, dilation_rate=2), nn.Conv2d(4, 6, 3, stride=2, dilation=2), (3, 2, 0, 1))
    check(L.Conv2DTranspose(6, 3, strides=2), nn.ConvTranspose2d(4, 6, 3, stride=2), (3, 2, 0, 1))
    check(L.MaxPooling2D(2), nn.MaxPool2d(2))
    check(L.AveragePooling2D(2), nn.AvgPool2d(2))
    check(L.LeakyReLU(0.1), nn.LeakyReLU(0.1))
    check(L.BatchNormalization(epsilon=1e-5), nn.BatchNorm2d(4, eps=1e-5).train())


def test_batch_normalization_forgets_the_batch_in_inference(rng):
    layer = L.BatchNormalization(momentum=0.0, epsilon=0.0)
    x = rng.standard_normal((50, 3)).astype(np.float32) * 3 + 7
    y = layer(x, training=True).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-4)
    before = [w.copy() for w in layer.get_weights()]
    z = layer(x[:1], training=False).numpy()
    np.testing.assert_allclose(z, y[:1], atol=1e-3)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    names = [w.name for w in layer.weights]
    assert names == ["gamma", "beta", "moving_mean", "moving_variance"]
    without = L.BatchNormalization(center=False, scale=False)
    without(x)
    assert [w.name for w in without.weights] == ["moving_mean", "moving_variance"]


def test_dropout_only_in_training(rng):
    x = rng.standard_normal((100, 100)).astype(np.float32)
    layer = L.Dropout(0.25, seed=3)
    assert layer(x).numpy() is x
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert not np.array_equal(first, second)
    assert np.array_equal(first, L.Dropout(0.25, seed=3)(x, training=True).numpy())


def test_frozen_layers_get_no_gradient(rng):
    for layer in (L.Conv2D(2, 3, trainable=False), L.Dense(2, trainable=False), L.BatchNormalization(trainable=False)):
        x = Tensor(rng.standard_normal((2, 5, 5, 2)).astype(np.float32), requires_grad=True)
        layer(x, training=True).backward(np.ones(layer(x).shape))
        assert layer.trainable_weights == []
        assert all(w.grad is None for w in layer.weights)
        assert x.grad is not None
    assert layer.get_weights()[2].tolist() == [0.0, 0.0], "a frozen normalisation keeps its moving statistics"


def test_own_layers(rng):
    class Scale(L.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", (input_shape[-1],), "ones")

        def call(self, x, training=False):
            return x * self.factor

    class FirstHalf(L.Layer):
        def call(self, x, training=False):
            from fastconv.autograd import functional as F

            return F.getitem(x, index=(slice(None), slice(0, x.shape[1] // 2)))

    model = keras.Sequential([keras.Input((4,)), Scale(), FirstHalf(), L.Dense(1)], seed=0)
    assert model.output_shape == (None, 1)
    assert model.layers[1].output_shape == (None, 2)
    assert [layer.name for layer in model.layers] == ["scale", "first_half", "dense"]
    model.compile("sgd", "mse")
    x = rng.standard_normal((8, 4))
    model.fit(x, x[:, :1], epochs=1, verbose=0)
    assert not np.array_equal(model.get_weights()[0], np.ones(4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.Conv2D(0, 3), "filters is 0"),
        (lambda: L.Conv2D(4.5, 3), "filters is 4.5"),
        (lambda: L.Conv2D(4, (3, 3, 3)), "kernel_size is"),
        (lambda: L.Conv2D(4, 3, padding="full"), "padding is 'full'; expected 'valid' or 'same'"),
        (lambda: L.Conv2D(4, 3, padding="causal"), "padding is 'causal'"),
        (lambda: L.Conv2D(4, 3, activation="rellu"), "unknown activation 'rellu'; did you mean 'relu'"),
        (lambda: L.Conv2D(4, 3, kernel_initializer="glorot"), "unknown initializer 'glorot'"),
        (lambda: L.Conv2D(4, 3, kernel_regularizer="l3"), "unknown regularizer 'l3'"),
        (lambda: L.Conv2D(4, 3, kernel_constraint="maxnorm"), "did you mean 'max_norm'"),
        (lambda: L.Conv2D(4, 3, data_format="NCHW"), "data_format is 'NCHW'"),
        (lambda: L.Conv2D(4, 3, input_shape=(28, 0, 1)), "input_shape is"),
        (lambda: keras.Sequential([L.Dense(10, input_shape=(None,))]), r"must know axis 1 of its input \(None, None\)"),
        (lambda: L.Dropout(1.0), "rate is 1.0"),
        (lambda: L.MaxPooling2D(padding="full"), "padding is 'full'"),
        (lambda: L.ZeroPadding2D((1, 2, 3)), "padding is"),
        (lambda: L.BatchNormalization(momentum=2), "momentum is 2"),
        (lambda: L.Permute((1, 3)), "dims is"),
        (lambda: L.Input(), "Input needs shape"),
        (lambda: L.Conv2D(4, 3)(np.zeros((1, 8, 8))), r"'conv2d' needs images \(batch, height, width, channels\)"),
        (lambda: L.Conv2D(4, 9)(np.zeros((1, 8, 8, 1))), "output would be empty"),
        (lambda: L.Conv2D(4, 3, groups=2)(np.zeros((1, 8, 8, 3))), "groups=2"),
        (lambda: L.Reshape((3, 3))(np.zeros((1, 8))), r"cannot reshape \(8,\) \(8 elements\) to \(3, 3\)"),
        (lambda: L.BatchNormalization(axis=4)(np.zeros((1, 8))), "axis=4"),
        (lambda: L.MaxPooling2D(9)(np.zeros((1, 8, 8, 1))), "output would be empty"),
        (lambda: L.GlobalAveragePooling2D()(np.zeros((1, 8, 8))), "2 spatial axes"),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_unknown_layers_are_named():
    with pytest.raises(AttributeError, match="did you mean 'Conv2D'"):
        L.Conv2d  # noqa: B018
    with pytest.raises(AttributeError, match="no layer 'Conv2d'.*Known: Activation, ActivityRegularization, Add"):
        L.Conv2d  # noqa: B018
    assert not hasattr(keras, "nothing")


def test_set_weights_checks_shapes():
    layer = L.Dense(3)
    layer(np.zeros((1, 2)))
    with pytest.raises(InvalidArgument, match="has 2 weights but 1 were given"):
        layer.set_weights([np.zeros((2, 3))])
    with pytest.raises(
        InvalidArgument, match=r"weight 'kernel' of layer 'dense' has shape \(2, 3\) but was given \(3, 2\)"
    ):
        layer.set_weights([np.zeros((3, 2)), np.zeros(3)])
    assert layer.count_params() == 9
    with pytest.raises(InvalidArgument, match="was built for inputs"):
        layer(np.zeros((1, 2, 2)))


def test_initializers_have_the_right_spread():
    from fastconv.nn import initializers

    shape = (3, 3, 64, 128)
    fan_in, fan_out = 9 * 64, 9 * 128
    for name, variance in (
        ("glorot_uniform", 2 / (fan_in + fan_out)),
        ("glorot_normal", 2 / (fan_in + fan_out)),
        ("he_uniform", 2 / fan_in),
        ("he_normal", 2 / fan_in),
        ("lecun_uniform", 1 / fan_in),
        ("lecun_normal", 1 / fan_in),
        ("random_normal", 0.05**2),
        ("truncated_normal", 0.05**2 * 0.87962566**2),
        ("random_uniform", 0.1**2 / 12),
    ):
        w = type(initializers.get(name))(seed=1)(shape)
        assert w.dtype == np.float32
        assert abs(w.std() / variance**0.5 - 1) < 0.02, name
        assert abs(w.mean()) < 0.01 * variance**0.5 + 1e-3
        assert np.array_equal(w, type(initializers.get(name))(seed=1)(shape))
    assert (initializers.get("zeros")((2,)) == 0).all()
    assert (initializers.Constant(3)((2,)) == 3).all()
    assert (L.Dense(2, kernel_initializer=lambda shape: np.full(shape, 0.5))(np.ones((1, 4))).numpy() == 2).all()
    with pytest.raises(InvalidArgument, match="made shape"):
        L.Dense(2, kernel_initializer=lambda shape: np.zeros(3))(np.ones((1, 4)))
    with pytest.raises(InvalidArgument, match="unknown mode"):
        initializers.VarianceScaling(mode="fan")


def test_both_data_formats_start_from_the_same_weights():
    weights = []
    for data_format, shape in (("channels_last", (8, 8, 3)), ("channels_first", (3, 8, 8))):
        model = keras.Sequential([L.Conv2D(4, 3, input_shape=shape, data_format=data_format)], seed=5)
        weights.append(model.get_weights()[0])
    assert np.array_equal(*weights)


def transposed_by_hand(x, w, stride, dilation, padding, output_padding):
    """TensorFlow's rule: the result is as long as Keras says, and begins where a "same" convolution of it would."""
    extent = (len(w) - 1) * dilation + 1
    full = (len(x) - 1) * stride + extent
    y = np.zeros(full + 9)
    for i, v in enumerate(w):
        y[i * dilation : i * dilation + full - extent + 1 : stride] += x * v
    if padding == "valid":
        return y[: full + (max(0, stride - extent) if output_padding is None else output_padding)]
    length = len(x) * stride if output_padding is None else full - extent + extent % 2 + output_padding
    before = max(0, full - length) // 2
    return y[before : before + length]


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_convolutions_begin_where_keras_begins(padding):
    x = np.array([1.0, 10.0, 100.0])
    for k, s, d in itertools.product((1, 2, 3, 4, 5), (1, 2, 3), (1, 2)):
        w = np.arange(1.0, k + 1)
        for more in (None, *range(s)):
            options = {"strides": s, "dilation_rate": d, "padding": padding, "output_padding": more}
            layer = L.Conv1DTranspose(1, k, use_bias=False, dtype="float64", **options)
            layer.ensure_built((None, 3, 1))
            layer.set_weights([w.reshape(k, 1, 1)])
            y = layer(x.reshape(1, 3, 1)).numpy().ravel()
            np.testing.assert_allclose(y, transposed_by_hand(x, w, s, d, padding, more), err_msg=str((k, options)))
            assert layer.output_shape == (None, len(y), 1)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_output_padding_in_more_dimensions(data_format):
    """Numbers from Keras 3.15."""
    last = data_format == "channels_last"
    options = {"padding": "same", "use_bias": False, "data_format": data_format}

    def result(layer, x):
        x = x[None, ..., None] if last else x[None, None]
        layer.ensure_built((None, *x.shape[1:]))
        (kernel,) = layer.weights
        layer.set_weights([np.arange(kernel.size, dtype=float).reshape(kernel.shape) + (layer.rank == 2)])
        y = layer(x).numpy()[0]
        return y[..., 0] if last else y[0]

    y = result(L.Conv2DTranspose(1, 3, 2, output_padding=1, **options), np.arange(1.0, 5.0).reshape(2, 2))
    assert y.tolist() == [[1, 2, 5, 4], [4, 5, 14, 10], [10, 14, 36, 24], [12, 15, 34, 20]]
    layer = L.Conv3DTranspose(1, (3, 4, 5), (2, 3, 4), output_padding=(1, 2, 3), **options)
    y = result(layer, np.arange(8.0).reshape(2, 2, 2))
    assert y.shape == (4, 5, 8)
    assert (y.sum(), (y.ravel() * np.arange(160)).sum()) == (17478, 2013362)
