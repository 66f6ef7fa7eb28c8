"""Loaders of other libraries in fit, evaluate and predict: PyTorch's, where it is installed, and tf.data's likeness."""

import numpy as np
import pytest

from fastconv import nn as keras

X = np.random.default_rng(0).standard_normal((20, 8, 8, 1)).astype("float32")
Y = (X.mean(axis=(1, 2, 3)) > 0).astype("int64")


def model():
    keras.utils.set_random_seed(1)
    made = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def same_as_arrays(loader, samples=None):
    """Training, validation, evaluation and prediction by a loader of batches of 6, in order, against arrays."""
    given, arrays = model(), model()
    history = given.fit(loader, validation_data=loader, epochs=2, verbose=0).history
    plain = arrays.fit(X, Y, 6, 2, 0, validation_data=(X, Y), validation_batch_size=6, shuffle=False).history
    assert history == plain
    assert given.evaluate(loader, verbose=0) == arrays.evaluate(X, Y, 6, verbose=0)
    assert np.array_equal(given.predict(samples or loader, verbose=0), arrays.predict(X, 6, verbose=0))
    weighted = model().fit(loader, class_weight={0: 1.0, 1: 3.0}, verbose=0).history["loss"]
    expected = model().fit(X, Y, 6, verbose=0, class_weight={0: 1.0, 1: 3.0}, shuffle=False).history["loss"]
    assert weighted == expected


class Number:
    """An element of tf.data's: an eager tensor, known by ``numpy()`` and ``__array__``."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def numpy(self):
        return self._array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._array, dtype)


class Dataset:
    """What a tf.data.Dataset shows: iteration, again and again, a length and a cardinality; no item by its number."""

    def __init__(self, batches):
        self._batches = batches

    def __iter__(self):
        return iter([tuple(map(Number, batch)) for batch in self._batches])

    def __len__(self):
        return len(self._batches)

    def cardinality(self):
        return Number(np.int64(len(self._batches)))

    @property
    def element_spec(self):
        return self._batches[0]


CUTS = [slice(start, start + 6) for start in range(0, 20, 6)]


def test_a_dataset_as_tensorflow_has_it():
    same_as_arrays(Dataset([(X[cut], Y[cut]) for cut in CUTS]), Dataset([(X[cut],) for cut in CUTS]))


def test_a_sequence_with_workers():
    class Batches(keras.utils.PyDataset):
        ended = 0

        def __len__(self):
            return len(CUTS)

        def __getitem__(self, index):
            return X[CUTS[index]], Y[CUTS[index]]

        def on_epoch_end(self):
            self.ended += 1

    batches = Batches(workers=2, use_multiprocessing=True, max_queue_size=4)
    given, arrays = model(), model()
    history = given.fit(batches, epochs=2, shuffle=False, verbose=0).history
    assert history == arrays.fit(X, Y, 6, 2, 0, shuffle=False).history and batches.ended == 2


def test_batches_of_other_dtypes_are_converted():
    """Of samples alone, too: whole numbers stayed what they were in predict, and Rescaling made zeros of them."""
    images = np.arange(0, 240, dtype=np.uint8).reshape(10, 4, 6, 1)
    model = keras.Sequential([keras.Input((4, 6, 1)), keras.layers.Rescaling(1 / 255)])
    batches = (images[cut] for cut in (slice(0, 6), slice(6, 10)))
    assert np.array_equal(model.predict(batches, verbose=0), model.predict(images, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_pytorchs_loader(workers):
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    of_both = data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    alone = data.TensorDataset(torch.tensor(X))
    same_as_arrays(*(data.DataLoader(samples, batch_size=6, num_workers=workers) for samples in (of_both, alone)))
    shuffled = data.DataLoader(of_both, batch_size=6, shuffle=True, drop_last=True)
    history = model().fit(shuffled, epochs=3, verbose=0).history
    assert len(history["loss"]) == 3 and np.isfinite(history["loss"]).all()
    assert model().fit(shuffled, steps_per_epoch=2, epochs=2, verbose=0).epoch == [0, 1]


@pytest.mark.slow
def test_pytorchs_loader_of_dicts_and_images():
    """Batches as torchvision gives them, channels first, of uint8; and a stream without a length."""
    data, torch = pytest.importorskip("torch.utils.data"), pytest.importorskip("torch")

    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter([(image, int(label)) for image, label in zip(X, Y, strict=True)])

    given, arrays = model(), model()
    history = given.fit(data.DataLoader(Stream(), batch_size=6), verbose=0).history
    assert history == arrays.fit(X, Y, 6, verbose=0, shuffle=False).history
    images = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8)
    first = keras.Sequential([keras.Input((3, 8, 8)), keras.layers.Permute((2, 3, 1)), keras.layers.Rescaling(1 / 255)])
    loader = data.DataLoader(data.TensorDataset(images), batch_size=5)
    expected = images.numpy().transpose(0, 2, 3, 1) / np.float32(255)
    np.testing.assert_allclose(first.predict(loader, verbose=0), expected, rtol=1e-6)
