"""A training loop of one's own: the gradients by backward, the step by an optimizer, the means by metrics.

python examples/custom_training_loop.py
"""

import numpy as np

from fastconv import nn as keras
from fastconv.autograd import no_grad

EPOCHS, BATCH = 6, 20


def blobs(count, rng):
    """Images with a bright spot in one of four quarters, which is the class."""
    y = rng.integers(0, 4, count)
    x = rng.normal(0, 1, (count, 12, 12, 1))
    for image, quarter in zip(x, y, strict=True):
        i, j = 6 * (quarter // 2) + rng.integers(0, 4), 6 * (quarter % 2) + rng.integers(0, 4)
        image[i : i + 3, j : j + 3] += 2
    return x.astype("float32"), y


keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.layers.Input((12, 12, 1)),
        keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(3),
        keras.layers.Flatten(),
        keras.layers.Dense(4),
    ]
)
optimizer = keras.optimizers.Adam(0.01)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
accuracy = keras.metrics.SparseCategoricalAccuracy()

rng = np.random.default_rng(0)
x_train, y_train = blobs(400, rng)
x_test, y_test = blobs(200, rng)
for epoch in range(EPOCHS):
    order = rng.permutation(len(x_train))
    losses = []
    for rows in np.split(order, len(order) // BATCH):
        logits = model(x_train[rows], training=True)
        loss = loss_of(y_train[rows], logits)
        model.zero_grad()
        loss.backward()
        gradients = [weight.value.grad for weight in model.trainable_weights]
        with no_grad():
            optimizer.apply(gradients, model.trainable_weights)
        losses.append(float(loss))
    accuracy.reset_state()
    with no_grad():
        accuracy.update_state(y_test, model(x_test, training=False))
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, test accuracy {float(accuracy.result()):.3f}")
