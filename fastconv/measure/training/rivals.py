"""The same models in PyTorch and in Keras: made layer by layer from fastconv's, with its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...nn import layers
from ...nn.models import Sequential
from .models import Batch, Contender

Make = Callable[[Sequential, Sequence[Batch], int], "list[Contender] | str"]


def torch_contenders(model: Sequential, batches: Sequence[Batch], threads: int) -> list[Contender] | str:
    """In both memory formats; logits go to the loss, tensors are made beforehand, the optimizer is PyTorch's fused."""
    torch: Any = import_module("torch")
    torch.set_num_threads(threads)
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    return [_torch_contender(torch, name, form, model, batches) for name, form in formats.items()]


def _torch_contender(torch: Any, variant: str, form: Any, model: Sequential, batches: Sequence[Batch]) -> Contender:
    network = torch.nn.Sequential(*_torch_layers(torch, model)).to(memory_format=form)
    optimizer = torch.optim.SGD(network.parameters(), **_rates(model), fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    data = [
        (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=form), torch.from_numpy(y))
        for x, y in batches
    ]

    def train(i: int) -> float:
        x, y = data[i % len(data)]
        network.train()
        optimizer.zero_grad()
        loss = loss_of(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(i: int) -> Any:
        network.eval()
        with torch.inference_mode():
            return torch.softmax(network(data[i % len(data)][0]), 1).numpy()

    return Contender(variant, train, predict)


def _torch_layers(torch: Any, model: Sequential) -> list[Any]:
    """PyTorch's layers with the weights of a model's, whose last activation is left to the loss."""
    *body, last = model.layers
    if _activation(last) != "softmax":
        raise InvalidArgument(f"{model.name} ends in {type(last).__name__}; expected the activation softmax")
    found: list[Any] = []
    flattened: Any = None
    for layer in body:
        found.append(_torch_layer(torch.nn, layer))
        weights = layer.get_weights()
        if isinstance(layer, layers.Flatten):
            flattened = layer.input_shape
        if isinstance(layer, layers.Dense) and flattened is not None:  # PyTorch flattens with channels first
            _, *size, channels = flattened
            weights[0] = np.moveaxis(weights[0].reshape(*size, channels, -1), 2, 0).reshape(weights[0].shape)
            flattened = None
        with torch.no_grad():
            for name, value in zip(("weight", "bias", "running_mean", "running_var"), weights, strict=False):
                turned = np.moveaxis(value, (-1, -2), (0, 1)) if value.ndim > 1 else value
                getattr(found[-1], name).copy_(torch.from_numpy(np.ascontiguousarray(turned)))
    return found


def _torch_layer(nn: Any, layer: Any) -> Any:
    shape: Any = layer.input_shape
    if isinstance(layer, layers.Conv2D):
        return nn.Conv2d(shape[-1], layer.filters, layer.kernel_size, layer.strides, padding=layer.padding)
    if isinstance(layer, layers.BatchNormalization):
        kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
        return kind(shape[-1], layer.epsilon, 1 - layer.momentum)
    if isinstance(layer, layers.MaxPooling2D):
        return nn.MaxPool2d(layer.pool_size, layer.strides)
    if isinstance(layer, layers.Dense):
        return nn.Linear(shape[-1], layer.units)
    if isinstance(layer, layers.Dropout):
        return nn.Dropout(layer.rate)
    if isinstance(layer, layers.Flatten):
        return nn.Flatten()
    if _activation(layer) == "relu":
        return nn.ReLU()
    raise InvalidArgument(f"{layer.name} is a {type(layer).__name__}; the rivals have no such layer here")


def keras_contenders(model: Sequential, batches: Sequence[Batch], threads: int) -> list[Contender] | str:
    """The same words in Keras, on the backend that it is set to; or why it cannot be imported."""
    try:
        keras: Any = import_module("keras")
    except ImportError as error:  # of its backend, which is TensorFlow unless KERAS_BACKEND says otherwise
        return f"keras cannot be imported: {error}; KERAS_BACKEND names the backend: torch, jax or tensorflow"
    backend = keras.backend.backend()
    if backend == "torch":
        import_module("torch").set_num_threads(threads)
    network = keras.Sequential([keras.Input((model.input_shape or ())[1:])])
    for layer in model.layers:
        network.add(_keras_layer(keras.layers, layer))
    network.set_weights(model.get_weights())
    rates = _rates(model)
    optimizer = keras.optimizers.SGD(rates["lr"], momentum=rates["momentum"])
    network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")

    def train(i: int) -> float:
        return float(network.train_on_batch(*batches[i % len(batches)]))

    def predict(i: int) -> Any:
        return network.predict_on_batch(batches[i % len(batches)][0])

    return [Contender(f"on {backend}", train, predict)]


def _keras_layer(theirs: Any, layer: Any) -> Any:
    if isinstance(layer, layers.Conv2D):
        return theirs.Conv2D(layer.filters, layer.kernel_size, layer.strides, layer.padding)
    if isinstance(layer, layers.BatchNormalization):
        return theirs.BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon)
    if isinstance(layer, layers.MaxPooling2D):
        return theirs.MaxPooling2D(layer.pool_size, layer.strides)
    if isinstance(layer, layers.Dense):
        return theirs.Dense(layer.units)
    if isinstance(layer, layers.Dropout):
        return theirs.Dropout(layer.rate)
    if isinstance(layer, layers.Flatten):
        return theirs.Flatten()
    return theirs.Activation(_activation(layer))


def _rates(model: Sequential) -> dict[str, float]:
    """What the optimizer is told."""
    return {"lr": float(model.optimizer.learning_rate), "momentum": float(model.optimizer.momentum)}


def _activation(layer: Any) -> str:
    return layer.activation.__name__ if isinstance(layer, layers.Activation) else ""


TRAINERS: dict[str, Make] = {"torch": torch_contenders, "keras": keras_contenders}
