"""A convolutional network trained by hand: tensors, fastconv's functions and a loop, nothing from fastconv.nn but data.

    python examples/cnn_by_hand.py

The page docs/guide/cnn-by-hand.md goes through it line by line.
"""

import numpy as np

import fastconv as fc
from fastconv.autograd import Tensor, draw, no_grad
from fastconv.autograd import functional as F
from fastconv.nn.datasets import fashion_sketch

EPOCHS, BATCH, RATE, MOMENTUM = 5, 64, 0.05, 0.9
rng = np.random.default_rng(0)


def weight(*shape, inputs):
    """He's initialisation: the spread that keeps the size of activations behind a ReLU."""
    values = rng.standard_normal(shape) * np.sqrt(2 / inputs)
    return Tensor(values.astype(np.float32), requires_grad=True)


(x_train, y_train), (x_test, y_test) = fashion_sketch.load_data(n_train=4_000, n_test=1_000)
x_train, x_test = (x[:, None].astype(np.float32) / 255 for x in (x_train, x_test))  # (N, 1, 28, 28)

w1, b1 = weight(16, 1, 5, 5, inputs=25), weight(16, inputs=np.inf)
w2, b2 = weight(32, 16, 3, 3, inputs=144), weight(32, inputs=np.inf)
w3, b3 = weight(32 * 7 * 7, 10, inputs=32 * 7 * 7), weight(10, inputs=np.inf)
weights = [w1, b1, w2, b2, w3, b3]
steps = [np.zeros_like(w.data) for w in weights]


def network(x):
    h = fc.max_pool2d(fc.conv2d(x, w1, b1, padding="same").relu(), 2)  # (N, 16, 14, 14)
    h = fc.max_pool2d(fc.conv2d(h, w2, b2, padding="same").relu(), 2)  # (N, 32, 7, 7)
    return h.reshape(len(x), -1) @ w3 + b3  # (N, 10)


def accuracy(x, y):
    with no_grad():
        return float((network(x).argmax(axis=1) == y).mean())


for epoch in range(EPOCHS):
    order = rng.permutation(len(x_train))
    for rows in np.split(order, range(BATCH, len(order), BATCH)):
        loss = F.softmax_cross_entropy(network(x_train[rows]), y_train[rows])
        loss.backward()
        with no_grad():
            for w, step in zip(weights, steps, strict=True):
                step *= MOMENTUM
                step -= RATE * w.grad
                w += step
                w.zero_grad()
    print(f"epoch {epoch + 1}: loss {loss:.4f}, test accuracy {accuracy(x_test, y_test):.3f}")

graph = draw(loss, w1=w1, b1=b1, w2=w2, b2=b2, w3=w3, b3=b3)
print(graph)
