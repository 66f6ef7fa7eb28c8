"""The lectures' listings as they stand, only the import lines changed; data sets are small ones of the same form."""

import re

import pytest

from fastconv.nn import datasets

plt = pytest.importorskip("matplotlib.pyplot")

NETWORK_FOR_FASHION = """
from tensorflow import keras

NUM_EPOCHS = 3
INIT_LR = 0.01
BS = 128

((trainX, trainY), (testX, testY)) = keras.datasets.fashion_mnist.load_data()
trainX = trainX.reshape((trainX.shape[0], 28, 28, 1))
testX = testX.reshape((testX.shape[0], 28, 28, 1))
trainX = trainX.astype("float32") / 255.0
testX = testX.astype("float32") / 255.0
trainY = keras.utils.to_categorical(trainY, 10)
testY = keras.utils.to_categorical(testY, 10)

model = keras.models.Sequential()
model.add(keras.layers.Conv2D(32, (3, 3), padding="same", input_shape=(28, 28, 1)))
model.add(keras.layers.Activation("relu"))
model.add(keras.layers.BatchNormalization(axis=-1))
model.add(keras.layers.Conv2D(32, (3, 3), padding="same"))
model.add(keras.layers.Activation("relu"))
model.add(keras.layers.BatchNormalization(axis=-1))
model.add(keras.layers.MaxPooling2D(pool_size=(2, 2)))
model.add(keras.layers.Dropout(0.25))
model.add(keras.layers.Flatten())
model.add(keras.layers.Dense(512))
model.add(keras.layers.Activation("relu"))
model.add(keras.layers.BatchNormalization())
model.add(keras.layers.Dropout(0.5))
model.add(keras.layers.Dense(10))
model.add(keras.layers.Activation("softmax"))
"""

FIT = """
model.compile(loss="categorical_crossentropy", optimizer=opt, metrics=["accuracy"])
H = model.fit(trainX, trainY, validation_data=(testX, testY), batch_size=BS, epochs=NUM_EPOCHS)
"""

PLOT = """
import numpy as np
import matplotlib.pyplot as plt

N = NUM_EPOCHS
plt.style.use("ggplot")
plt.figure()
plt.plot(np.arange(0, N), H.history["loss"], label="train_loss")
plt.plot(np.arange(0, N), H.history["val_loss"], label="val_loss")
plt.plot(np.arange(0, N), H.history["accuracy"], label="train_acc")
plt.plot(np.arange(0, N), H.history["val_accuracy"], label="val_acc")
plt.title("Training Loss and Accuracy on Dataset")
plt.xlabel("Epoch #")
plt.ylabel("Loss/Accuracy")
plt.legend(loc="lower left")
plt.savefig("plot.png")
"""

LISTINGS = {
    "fashion: momentum and decay": (
        NETWORK_FOR_FASHION
        + "opt = keras.optimizers.SGD(lr=INIT_LR, momentum=0.9, decay=INIT_LR / NUM_EPOCHS)"
        + FIT
        + PLOT
        + """
model.summary()
predictions = model.predict(testX)
print(predictions.argmax(axis=1)[:10], testY.argmax(axis=1)[:10])
"""
    ),
    "fashion: Nesterov, stopping early, the best kept": (
        NETWORK_FOR_FASHION
        + """
from tensorflow.keras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

opt = keras.optimizers.SGD(learning_rate=INIT_LR, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=opt, metrics=["accuracy"])
callbacks = [
    EarlyStopping(monitor="val_loss", patience=3, verbose=1, restore_best_weights=True),
    ModelCheckpoint("best.weights.npz", monitor="val_accuracy", save_best_only=True, save_weights_only=True),
    ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, min_lr=1e-5),
]
H = model.fit(trainX, trainY, validation_data=(testX, testY), batch_size=BS, epochs=NUM_EPOCHS, callbacks=callbacks)
score = model.evaluate(testX, testY, verbose=0)
print("Test loss:", score[0])
print("Test accuracy:", score[1])
"""
    ),
    "MNIST: three convolutions": """
from tensorflow.keras import layers
from tensorflow.keras import models
from tensorflow.keras.datasets import mnist
from tensorflow.keras.utils import to_categorical

model = models.Sequential()
model.add(layers.Conv2D(32, (3, 3), activation='relu', input_shape=(28, 28, 1)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation='relu'))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation='relu'))
model.add(layers.Flatten())
model.add(layers.Dense(64, activation='relu'))
model.add(layers.Dense(10, activation='softmax'))
model.summary()

(train_images, train_labels), (test_images, test_labels) = mnist.load_data()
train_images = train_images.reshape((len(train_images), 28, 28, 1))
train_images = train_images.astype('float32') / 255
test_images = test_images.reshape((len(test_images), 28, 28, 1))
test_images = test_images.astype('float32') / 255
train_labels = to_categorical(train_labels)
test_labels = to_categorical(test_labels)

model.compile(optimizer='rmsprop', loss='categorical_crossentropy', metrics=['accuracy'])
model.fit(train_images, train_labels, epochs=5, batch_size=64)
test_loss, test_acc = model.evaluate(test_images, test_labels)
print(test_acc)
""",
    "the learning rate by a schedule of one's own": """
import numpy as np
from tensorflow import keras
from tensorflow.keras.callbacks import LearningRateScheduler

def schedule(epoch, lr):
    if epoch < 2:
        return lr
    return lr * 0.5

model = keras.models.Sequential([keras.layers.Dense(10, input_shape=(20,))])
model.compile(keras.optimizers.SGD(learning_rate=0.01), loss='mse')
history = model.fit(np.arange(100).reshape(5, 20) / 100, np.zeros((5, 10)), epochs=4,
                    callbacks=[LearningRateScheduler(schedule, verbose=1)], verbose=0)
assert abs(float(model.optimizer.learning_rate) - 0.0025) < 1e-7
""",
    "rows of a CSV file, and an end where numbers blow up": """
import numpy as np
import keras
from keras.callbacks import CSVLogger, TerminateOnNaN

csv_logger = CSVLogger('training.log', separator=';')
model = keras.Sequential([keras.layers.Dense(1, input_shape=(20,))])
model.compile(keras.optimizers.SGD(), loss='mse')
history = model.fit(np.full((5, 20), 1e10), np.zeros((5, 1)), epochs=100, batch_size=1,
                    callbacks=[csv_logger, TerminateOnNaN()], verbose=0)
assert len(history.history['loss']) < 20
with open('training.log') as f:
    print(f.readline())
""",
    "a progress bar, asked for by name": """
import numpy as np
import keras

model = keras.Sequential([keras.layers.Dense(1)])
model.compile('sgd', 'mse')
history = model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=2, batch_size=2,
                    callbacks=[keras.callbacks.ProgbarLogger()])
""",
    "functions at each event": """
import json
import numpy as np
import keras
from keras.callbacks import LambdaCallback

# the batch that begins, the loss of each epoch into a file, a word at the end
batch_print_callback = LambdaCallback(on_train_batch_begin=lambda batch, logs: print('batch', batch))
json_log = open('loss_log.json', mode='wt', buffering=1)
json_logging_callback = LambdaCallback(
    on_epoch_end=lambda epoch, logs: json_log.write(json.dumps({'epoch': epoch, 'loss': logs['loss']}) + '\\n'),
    on_train_end=lambda logs: json_log.close()
)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile('sgd', 'mse')
history = model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=2, batch_size=2, verbose=0,
                    callbacks=[batch_print_callback, json_logging_callback])
with open('loss_log.json') as f:
    assert [json.loads(line)['epoch'] for line in f] == [0, 1]
""",
    "a smaller rate on a plateau": """
import numpy as np
import keras
from keras.callbacks import ReduceLROnPlateau

reduce_lr = ReduceLROnPlateau(monitor='val_loss', factor=0.2, patience=5, min_lr=0.001)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.01), 'mse')
history = model.fit(np.ones((4, 3)), np.ones((4, 1)), validation_data=(np.ones((4, 3)), np.zeros((4, 1))),
                    epochs=9, callbacks=[reduce_lr], verbose=0)
print(float(model.optimizer.learning_rate))
""",
    "checkpoints of weights, of the best": """
import numpy as np
import keras

model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile('sgd', loss='mse', metrics=['accuracy'])
EPOCHS = 3
checkpoint_filepath = 'checkpoint.weights.h5'
model_checkpoint_callback = keras.callbacks.ModelCheckpoint(
    filepath=checkpoint_filepath,
    save_weights_only=True,
    monitor='val_accuracy',
    mode='max',
    save_best_only=True)
history = model.fit(np.ones((8, 3)), np.ones((8, 1)), validation_split=0.25, epochs=EPOCHS,
                    callbacks=[model_checkpoint_callback], verbose=0)
# the best weights so far
model.load_weights(checkpoint_filepath)
""",
    "checkpoints of the whole model": """
import numpy as np
import keras

model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile('sgd', loss='mse', metrics=['accuracy'])
callback = keras.callbacks.ModelCheckpoint(filepath='checkpoint.model.keras', monitor='val_accuracy', mode='max',
                                           save_best_only=True)
history = model.fit(np.ones((8, 3)), np.ones((8, 1)), validation_split=0.25, epochs=2, callbacks=[callback], verbose=0)
again = keras.models.load_model('checkpoint.model.keras')
assert again.predict(np.ones((2, 3)), verbose=0).shape == (2, 1)
""",
    "stopping early, on zeros": """
import numpy as np
import keras

callback = keras.callbacks.EarlyStopping(monitor='loss', patience=3)
# training ends when the loss has not fallen for three epochs
model = keras.models.Sequential([keras.layers.Dense(10)])
model.compile(keras.optimizers.SGD(), loss='mse')
history = model.fit(np.arange(100).reshape(5, 20), np.zeros(5), epochs=10, batch_size=1,
                    callbacks=[callback], verbose=0)
print(len(history.history['loss']), 'epochs')
""",
    "a state to go on from": """
import numpy as np
import keras


class InterruptingCallback(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 4:
            raise RuntimeError('Interrupting!')


callback = keras.callbacks.BackupAndRestore(backup_dir="backup")
model = keras.models.Sequential([keras.layers.Dense(10)])
model.compile(keras.optimizers.SGD(), loss='mse')
model.build((None, 20))
try:
    model.fit(np.arange(100).reshape(5, 20), np.zeros(5), epochs=10, batch_size=1,
              callbacks=[callback, InterruptingCallback()], verbose=0)
except RuntimeError:
    pass
history = model.fit(np.arange(100).reshape(5, 20), np.zeros(5), epochs=10, batch_size=1,
                    callbacks=[callback], verbose=0)
# only 6 more epochs are run, as the first training got to the 4th
assert len(history.history['loss']) == 6
""",
    "events sent to a server": """
import numpy as np
import keras

remote = keras.callbacks.RemoteMonitor(root='http://localhost:9', path='/publish/epoch/end/', field='data',
                                       headers=None, send_as_json=False)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile('sgd', 'mse')
history = model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=1, callbacks=[remote], verbose=0)
""",
    "weights averaged": """
import numpy as np
import keras
from keras.callbacks import SwapEMAWeights
from keras.optimizers import SGD

model = keras.Sequential([keras.layers.Dense(1)])
optimizer = SGD(use_ema=True)
model.compile(optimizer=optimizer, loss='mse', metrics=['mae'])
history = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=3, callbacks=[SwapEMAWeights()], verbose=0)
""",
    "signatures of layers, as the documentation prints them": """
import numpy as np
import keras

layers = [
    keras.layers.Conv2D(
        4,
        (3, 3),
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        groups=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
    ),
    keras.layers.BatchNormalization(
        axis=-1,
        momentum=0.99,
        epsilon=0.001,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        synchronized=False,
    ),
    keras.layers.Activation("relu"),
    keras.layers.MaxPooling2D(pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None),
    keras.layers.DepthwiseConv2D(
        (3, 3),
        strides=(1, 1),
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=(1, 1),
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
    ),
    keras.layers.AveragePooling2D((2, 2), strides=None, padding="valid", data_format=None, name=None),
    keras.layers.Dropout(0.5, noise_shape=None, seed=None),
    keras.layers.Flatten(data_format=None),
    keras.layers.Dense(
        3,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
    ),
]
model = keras.Sequential([keras.Input(shape=(12, 12, 2))] + layers)
assert model.output_shape == (None, 3)
model.compile(
    optimizer=keras.optimizers.SGD(learning_rate=0.01, momentum=0.0, nesterov=False, weight_decay=None, clipnorm=None,
                                   clipvalue=None, global_clipnorm=None, use_ema=False, ema_momentum=0.99,
                                   ema_overwrite_frequency=None, name="SGD"),
    loss=keras.losses.MeanSquaredError(reduction="sum_over_batch_size", name="mean_squared_error"),
    metrics=["mae"],
)
history = model.fit(x=np.ones((4, 12, 12, 2)), y=np.ones((4, 3)), batch_size=2, epochs=1, verbose=0, callbacks=None,
                    validation_split=0.0, validation_data=None, shuffle=True, class_weight=None, sample_weight=None,
                    initial_epoch=0, steps_per_epoch=None, validation_steps=None, validation_batch_size=None,
                    validation_freq=1)
""",
    "TensorBoard": """
import numpy as np
import keras

model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile('sgd', 'mse')
tensorboard_callback = keras.callbacks.TensorBoard(log_dir="./logs", histogram_freq=1, write_graph=True,
                                                   write_images=False, update_freq='epoch')
history = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, callbacks=[tensorboard_callback], verbose=0)
""",
}

#: What a listing prints among other things.
PRINTED = {
    "fashion: momentum and decay": ("Epoch 3/3"),
    "MNIST: three convolutions": ("93,322", "320", "18,496", "36,928", "650"),
    "fashion: Nesterov, stopping early, the best kept": ("Test accuracy:",),
    "the learning rate by a schedule of one's own": ("0.0025",),
    "rows of a CSV file, and an end where numbers blow up": ("epoch;loss",),
}

#: A small set of the same form: 28x28 images of ten classes.
IMAGES = datasets.fashion_sketch.load_data(n_train=64, n_test=32)


def ours(listing):
    """The listing with fastconv's import lines."""
    listing = re.sub(r"^(?:from tensorflow )?import keras$", "from fastconv import nn as keras", listing, flags=re.M)
    return re.sub(r"^from (?:tensorflow\.)?keras\b", "from fastconv.nn", listing, flags=re.M)


@pytest.fixture(autouse=True)
def a_place_to_run(tmp_path, monkeypatch):
    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    for name in ("mnist", "fashion_mnist"):
        monkeypatch.setattr(getattr(datasets, name), "load_data", lambda: IMAGES)
    yield
    plt.close("all")
    plt.rcdefaults()


@pytest.mark.filterwarnings("ignore:y holds one number", "ignore:RemoteMonitor could not reach")
@pytest.mark.filterwarnings("ignore:overflow encountered")  # in the listing that means to blow up
@pytest.mark.parametrize("name", LISTINGS)
def test_listing(name, capsys):
    if name == "TensorBoard":
        pytest.importorskip("tensorboardX")
    code = ours(LISTINGS[name])
    assert not re.search(r"tensorflow|^import keras|^from keras", code, re.M)
    names = {}
    exec(compile(code, name, "exec"), names)
    printed = capsys.readouterr().out
    for history in (names[each].history for each in ("H", "history") if each in names):
        assert history and all(len(values) for values in history.values())
    for words in PRINTED.get(name, ()):
        assert words in printed


def test_the_import_lines_are_all_that_changes():
    for listing in LISTINGS.values():
        before, after = listing.splitlines(), ours(listing).splitlines()
        assert all("import" in a for a, b in zip(before, after, strict=True) if a != b)
