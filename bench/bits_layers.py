"""What ``bits.py`` hashes of layers: operations with their gradients by the tape, optimizers, and whole trainings."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastconv import nn
from fastconv.autograd import Tensor
from fastconv.autograd import functional as F
from fastconv.nn import layers, optimizers
from fastconv.nn.datasets import fashion_sketch

STEPS = 500
BATCH = 16
Named = tuple[str, str, Callable[[], Any]]  # line, name, what makes the result
Draw = Callable[[str, tuple[int, ...], str], np.ndarray]
Operation = Callable[..., Tensor]

SHAPES = ((7, 5), (2, 3, 4, 33), (64, 1000), (5, 1), (1, 17))

ELEMENTWISE: dict[str, Operation] = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, slope=0.2),
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "exp": F.exp,
    "absolute": F.absolute,
    "softmax": F.softmax,
    "softmax, first axis": lambda x: F.softmax(x, axis=0),
    "log_softmax": F.log_softmax,
    "dropout": lambda x: F.dropout(x, rate=0.3, seed=11),
    "sum": lambda x: F.sum(x, axis=0),
    "mean": F.mean,
    "penalty": lambda x: F.penalty(x, l1=0.3, l2=0.2),
    "square root of squares": lambda x: F.power(F.add(F.multiply(x, x), 1.0), exponent=0.5),
    "pad": lambda x: F.pad(x, widths=((1, 2),) * x.ndim, value=3.0),
}
LOSSES: dict[str, Callable[[Tensor, np.ndarray], Tensor]] = {
    "softmax_cross_entropy": lambda z, t: F.softmax_cross_entropy(z, target=t),
    "categorical_cross_entropy": lambda z, t: F.categorical_cross_entropy(F.softmax(z), target=t),
    "binary_cross_entropy": lambda z, t: F.binary_cross_entropy(z, target=t, from_logits=True),
    "mean_squared_error": lambda z, t: F.mean_squared_error(z, target=t),
    "mean_absolute_error": lambda z, t: F.mean_absolute_error(z, target=t),
}
IMAGES: dict[str, Operation] = {
    "conv": lambda x, w: F.conv2d(x, w, activation="tanh", padding=1),
    "conv, strided": lambda x, w: F.conv2d(x, w, stride=2, padding="same"),
    "transposed": lambda x, w: F.conv_transpose2d(x, F.transpose(w, axes=(1, 0, 2, 3)), stride=2, output_padding=1),
    "max_pool": lambda x, w: F.max_pool2d(x, size=3, stride=2, padding=1),
    "avg_pool": lambda x, w: F.avg_pool2d(x, size=2),
    "lp_pool": lambda x, w: F.lp_pool2d(x, size=2),
    "adaptive": lambda x, w: F.adaptive_avg_pool2d(x, size=3),
    "global": lambda x, w: F.global_max_pool2d(x),
}


def operations(draw: Draw) -> Iterator[Named]:
    """Results and gradients of every operation of layers and losses."""
    for dtype in ("float32", "float64"):
        for shape in SHAPES:
            x = draw(f"operation {shape}", shape, dtype)
            for name, operation in ELEMENTWISE.items():
                yield f"operation: {name}", f"{shape} {dtype}", lambda f=operation, x=x: with_gradients(f, x)
        for shape in ((7, 10), (64, 10), (3, 1000)):
            z, p = draw(f"loss {shape}", shape, dtype), np.exp(draw(f"target {shape}", shape, dtype))
            target = (p / p.sum(axis=-1, keepdims=True)).astype(dtype)
            for name, loss in LOSSES.items():
                run = lambda f=loss, z=z, t=target: with_gradients(lambda z: f(z, t), z)  # noqa: E731
                yield f"loss: {name}", f"{shape} {dtype}", run
        x, w = draw("images", (2, 6, 11, 13), dtype), draw("filters", (5, 6, 3, 3), dtype)
        for name, operation in IMAGES.items():
            yield f"operation: {name}", dtype, lambda f=operation, x=x, w=w: with_gradients(f, x, w)
        yield from normalizations(draw, dtype)
        yield from products(draw, dtype)
    yield from optimizer_steps(draw)


def with_gradients(operation: Operation, *arrays: np.ndarray) -> tuple[Any, ...]:
    """The result and the gradients of a sum of it, each element with a weight of its own."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    y = operation(*tensors)
    weights = np.cos(np.arange(y.data.size)).reshape(y.data.shape).astype(arrays[0].dtype)
    y.backward(weights)
    return (y.data, *(np.zeros(0) if t.grad is None else t.grad for t in tensors))


def normalizations(draw: Draw, dtype: str) -> Iterator[Named]:
    for (shape, axis), relu, training in itertools.product(
        (((6, 5, 3), -1), ((3, 20, 7, 9), 1), ((300, 3), 1), ((64, 512), 1), ((4, 8, 8, 33), -1)),
        (False, True),
        (False, True),
    ):
        channels = shape[axis]
        of = {"x": shape, "gamma": (channels,), "beta": (channels,)}
        x, gamma, beta = (draw(f"norm {name} {axis}", of[name], dtype) for name in of)

        def run(
            x: np.ndarray = x, gamma: np.ndarray = gamma, beta: np.ndarray = beta, axis: int = axis,
            relu: bool = relu, training: bool = training,
        ) -> tuple[Any, ...]:  # fmt: skip
            running = (beta * 0.5, np.abs(gamma) + 1)
            found = with_gradients(
                lambda x, g, b: F.batch_norm(x, g, b, running=running, training=training, axis=axis, relu=relu),
                x, gamma, beta,
            )  # fmt: skip
            return (*found, *running)

        yield "operation: batch_norm", f"{shape} {axis} {relu} {training} {dtype}", run


def products(draw: Draw, dtype: str) -> Iterator[Named]:
    for rows, inputs, outputs in ((1, 3, 2), (33, 65, 17), (128, 300, 10)):
        of = {"x": (rows, inputs), "w": (inputs, outputs), "b": (outputs,)}
        x, w, b = (draw(f"dense {name}", of[name], dtype) for name in of)
        for active in (None, "relu", "leaky_relu", "sigmoid", "tanh"):
            yield (
                "operation: dense",
                f"{rows}x{inputs}x{outputs} {active} {dtype}",
                lambda x=x, w=w, b=b, a=active: with_gradients(lambda x, w, b: F.dense(x, w, b, activation=a), x, w, b),
            )


def optimizer_steps(draw: Draw) -> Iterator[Named]:
    """The weights of a small model after a few steps of each optimizer."""
    kinds = {
        "SGD": lambda: optimizers.SGD(0.1),
        "SGD, momentum": lambda: optimizers.SGD(0.1, momentum=0.9, decay=0.01),
        "SGD, nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "Adam": lambda: optimizers.Adam(),
        "Adam, clipnorm": lambda: optimizers.Adam(0.01, clipnorm=0.1),
        "Adam, clipvalue": lambda: optimizers.Adam(0.01, clipvalue=0.01),
        "RMSprop": lambda: optimizers.RMSprop(0.01),
        "RMSprop, momentum": lambda: optimizers.RMSprop(0.01, momentum=0.5),
    }
    for name, make in kinds.items():

        def run(make: Callable[[], Any] = make) -> list[np.ndarray]:
            model = nn.Sequential([layers.Dense(70, "tanh", input_shape=(30,)), layers.Dense(1)], seed=4)
            model.compile(optimizer=make(), loss="mse")
            model.fit(draw("o", (64, 30), "float32"), draw("t", (64, 1), "float32"), batch_size=8, epochs=2, verbose=0)
            return model.get_weights()

        yield f"optimizer: {name}", "weights", run


def trained() -> Iterator[Named]:
    """The first model takes 500 steps; the others hold the rest of the layers and are trained for less."""
    kinds: dict[str, tuple[Callable[[], nn.Sequential], Any, int]] = {
        "small CNN, Adam": (small_cnn, "adam", STEPS),
        "channels first, SGD": (channels_first, optimizers.SGD(0.05, momentum=0.9), STEPS // 10),
        "other layers, RMSprop": (other_layers, "rmsprop", STEPS // 10),
    }
    for name, (make, optimizer, steps) in kinds.items():
        model = make()
        model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
        history, predicted = train(model, steps)
        line = f"training: {name}, {steps} steps"
        for number, weights in enumerate(model.get_weights()):
            yield line, f"weights {number} {weights.shape}", lambda a=weights: a
        yield line, "history", lambda h=history: np.frombuffer(json.dumps(h, sort_keys=True).encode(), np.uint8)
        yield line, "predictions", lambda a=predicted: a


def train(model: nn.Sequential, steps: int) -> tuple[dict[str, list[float]], np.ndarray]:
    """History and predictions after two epochs on drawn garments."""
    images = steps // 2 * BATCH
    (x, y), (x_test, y_test) = fashion_sketch.load_data(n_train=images, n_test=100, seed=3)
    x, x_test = (a[..., None].astype(np.float32) / 255 for a in (x, x_test))
    y, y_test = nn.utils.to_categorical(y, 10), nn.utils.to_categorical(y_test, 10)
    fitted = model.fit(x, y, batch_size=BATCH, epochs=2, validation_data=(x_test, y_test), verbose=0)
    return fitted.history, model.predict(x_test, verbose=0)


def small_cnn() -> nn.Sequential:
    return nn.Sequential(
        [
            layers.Conv2D(8, 3, padding="same", activation="relu", input_shape=(28, 28, 1)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same"),
            layers.Activation("relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        seed=1,
    )


def channels_first() -> nn.Sequential:
    first = {"data_format": "channels_first"}
    return nn.Sequential(
        [
            layers.Permute((3, 1, 2), input_shape=(28, 28, 1)),
            layers.Conv2D(6, 5, strides=2, activation="tanh", **first),
            layers.BatchNormalization(axis=1),
            layers.AveragePooling2D(2, **first),
            layers.Conv2D(12, 3, groups=2, padding="same", kernel_regularizer="l2", **first),
            layers.LeakyReLU(),
            layers.GlobalAveragePooling2D(**first),
            layers.Dense(10),
            layers.Softmax(),
        ],
        seed=2,
    )


def other_layers() -> nn.Sequential:
    return nn.Sequential(
        [
            layers.ZeroPadding2D(2, input_shape=(28, 28, 1)),
            layers.Conv2D(8, 3, strides=2, activation="sigmoid"),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu"),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            layers.Conv2D(8, 3, dilation_rate=2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(10, activation="softmax", kernel_constraint="max_norm"),
        ],
        seed=3,
    )
