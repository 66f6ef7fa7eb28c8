"""
A network for digits, layer by layer
====================================

The small network of many a first lecture on MNIST: three convolutions, two pools, two dense layers, 93,322 parameters.
"""

import numpy as np

from fastconv import nn as keras
from fastconv import show

model = keras.models.Sequential()
model.add(keras.layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)))
model.add(keras.layers.MaxPooling2D((2, 2)))
model.add(keras.layers.Conv2D(64, (3, 3), activation="relu"))
model.add(keras.layers.MaxPooling2D((2, 2)))
model.add(keras.layers.Conv2D(64, (3, 3), activation="relu"))
model.add(keras.layers.Flatten())
model.add(keras.layers.Dense(64, activation="relu"))
model.add(keras.layers.Dense(10, activation="softmax"))
model.summary()

# %%
# The numbers of parameters follow from the layers: a filter has a weight for each tap and channel of its input, and
# an offset.

assert 32 * (3 * 3 * 1 + 1) == 320
assert 64 * (3 * 3 * 32 + 1) == 18_496
assert 64 * (3 * 3 * 64 + 1) == 36_928
assert 64 * (3 * 3 * 64 + 1) == 36_928  # the dense layer: 576 numbers come out of the last convolution
assert 10 * (64 + 1) == 650

# %%
# And the sizes from the arithmetic of convolution: 28 -> 26 -> 13 -> 11 -> 5 -> 3.
#
# MNIST is a download; ``fastconv train mnist`` trains on it. Here 2,000 drawn garments do, which are as large.

(x, y), (x_test, y_test) = keras.datasets.fashion_sketch.load_data(n_train=2_000, n_test=500)
x, x_test = (a[..., None].astype(np.float32) / 255 for a in (x, x_test))
keras.utils.set_random_seed(1)
model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=3, batch_size=64, verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy {accuracy:.3f}")

# %%
# What its layers make of one of them, fewer and fewer numbers a side:

figure = show.draw("feature-maps", show.Subject(model, given_image=x_test[0]))
