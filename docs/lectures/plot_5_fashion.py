"""
A network for fashion, and its learning curves
==============================================

Convolution, ReLU, batch normalisation, pooling: the network of the Fashion-MNIST lectures, trained for a few epochs on
drawn garments (``fastconv train fashion-mnist`` takes the real ones).
"""

import matplotlib.pyplot as plt
import numpy as np

from fastconv import nn as keras

EPOCHS, BATCH = 6, 64

(x, y), (x_test, y_test) = keras.datasets.fashion_sketch.load_data(n_train=2_000, n_test=500)
x, x_test = (a[..., None].astype(np.float32) / 255 for a in (x, x_test))
y, y_test = keras.utils.to_categorical(y, 10), keras.utils.to_categorical(y_test, 10)

keras.utils.set_random_seed(1)
model = keras.models.Sequential()
model.add(keras.layers.Conv2D(16, (3, 3), padding="same", input_shape=(28, 28, 1)))
model.add(keras.layers.Activation("relu"))
model.add(keras.layers.BatchNormalization(momentum=0.9))
model.add(keras.layers.MaxPooling2D(pool_size=(2, 2)))
model.add(keras.layers.Conv2D(32, (3, 3), padding="same"))
model.add(keras.layers.Activation("relu"))
model.add(keras.layers.BatchNormalization(momentum=0.9))
model.add(keras.layers.MaxPooling2D(pool_size=(2, 2)))
model.add(keras.layers.Flatten())
model.add(keras.layers.Dropout(0.5))
model.add(keras.layers.Dense(10))
model.add(keras.layers.Activation("softmax"))

optimizer = keras.optimizers.SGD(learning_rate=0.02, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=["accuracy"])
history = model.fit(x, y, validation_data=(x_test, y_test), batch_size=BATCH, epochs=EPOCHS, verbose=2)

# %%
# The training curves are means over each epoch while the weights change, with dropout on; the validation curves are
# measured at its end, with dropout off. So validation may well look better at first.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for axis, key in zip(axes, ("loss", "accuracy"), strict=True):
    epochs = np.arange(1, EPOCHS + 1)
    axis.plot(epochs, history.history[key], "o-", label="training")
    axis.plot(epochs, history.history[f"val_{key}"], "o-", label="validation")
    axis.set(xlabel="epoch", title=key)
    axis.legend()

# %%
# What it takes for what:

confusion = np.zeros((10, 10), dtype=int)
np.add.at(confusion, (y_test.argmax(1), model.predict(x_test, verbose=0).argmax(1)), 1)
figure, axis = plt.subplots(figsize=(6, 5.5), layout="constrained")
axis.imshow(confusion, cmap="Blues")
for (i, j), count in np.ndenumerate(confusion):
    axis.text(j, i, count or "", ha="center", va="center", color="white" if count > confusion.max() / 2 else "black")
names = keras.datasets.fashion_sketch.CLASS_NAMES
axis.set(xlabel="predicted", ylabel="true", xticks=range(10), yticks=range(10), yticklabels=names)
axis.set_xticklabels(names, rotation=60, ha="right")
