"""Every optimizer and schedule beside its formula in float64, and what optimizers share: decay, clipping, averages."""

import math

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.autograd import Tensor
from fastconv.errors import InvalidArgument

O, S, C = keras.optimizers, keras.optimizers.schedules, keras.callbacks
STEPS = 20


def gradients():
    rng = np.random.default_rng(7)
    return [rng.standard_normal((3, 4)) * 2.0 ** rng.integers(-3, 3) for _ in range(STEPS)]


W = np.random.default_rng(3).standard_normal((3, 4))


def trained(optimizer, dtype=np.float64, steps=STEPS):
    w = Tensor(W.astype(dtype), requires_grad=True)
    for g in gradients()[:steps]:
        optimizer.apply_gradients([(g, w)])
    return w.data


def adam(t, g, s, rate=0.001, b1=0.9, b2=0.999, amsgrad=False):
    s["m"], s["v"] = b1 * s["m"] + (1 - b1) * g, b2 * s["v"] + (1 - b2) * g * g
    s["x"] = np.maximum(s["x"], s["v"])
    v = s["x"] if amsgrad else s["v"]
    return -rate * math.sqrt(1 - b2**t) / (1 - b1**t) * s["m"] / (np.sqrt(v) + 1e-7)


def adamax(t, g, s):
    s["m"], s["v"] = 0.9 * s["m"] + 0.1 * g, np.maximum(0.999 * s["v"], np.abs(g))
    return -0.001 / (1 - 0.9**t) * s["m"] / (s["v"] + 1e-7)


def nadam(t, g, s):
    s["m"], s["v"] = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
    mu = [0.9 * (1 - 0.5 * 0.96**i) for i in range(1, t + 2)]
    m = mu[t] * s["m"] / (1 - math.prod(mu)) + (1 - mu[t - 1]) * g / (1 - math.prod(mu[:t]))
    return -0.001 * m / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)


def adagrad(t, g, s):
    s["v"] = s["v"] + g * g + (0.1 if t == 1 else 0)
    return -0.001 * g / np.sqrt(s["v"] + 1e-7)


def adadelta(t, g, s):
    s["v"] = 0.95 * s["v"] + 0.05 * g * g
    step = -np.sqrt(s["m"] + 1e-7) / np.sqrt(s["v"] + 1e-7) * g
    s["m"] = 0.95 * s["m"] + 0.05 * step**2
    return 0.001 * step


def lion(t, g, s):
    step = -0.001 * np.sign(0.9 * s["m"] + 0.1 * g)
    s["m"] = 0.99 * s["m"] + 0.01 * g
    return step


def centered(t, g, s):
    s["v"], s["x"] = 0.9 * s["v"] + 0.1 * g * g, 0.9 * s["x"] + 0.1 * g
    s["m"] = 0.5 * s["m"] + 0.001 * g / np.sqrt(s["v"] - s["x"] ** 2 + 1e-7)
    return -s["m"]


@pytest.mark.parametrize(
    "make, step",
    [
        (O.Adam, adam),
        (lambda: O.Adam(amsgrad=True), lambda *a: adam(*a, amsgrad=True)),
        (O.Adamax, adamax),
        (O.Nadam, nadam),
        (O.Adagrad, adagrad),
        (O.Adadelta, adadelta),
        (O.Lion, lion),
        (lambda: O.RMSprop(momentum=0.5, centered=True), centered),
    ],
)
def test_steps_follow_their_formulas(make, step):
    w, state = W.copy(), {"m": 0.0, "v": 0.0, "x": 0.0}
    for t, g in enumerate(gradients(), 1):
        w = w + step(t, g, state)
    np.testing.assert_allclose(trained(make()), w, rtol=1e-11)
    np.testing.assert_allclose(trained(make(), np.float32), w, rtol=2e-5, atol=2e-6)


def test_ftrl_makes_weights_of_little_use_exactly_zero():
    w, n, z = W.copy(), 0.1, 0.0
    for g in gradients():
        sigma = (np.sqrt(n + g * g) - np.sqrt(n)) / 0.05
        n, z = n + g * g, z + g - sigma * w
        w = np.where(np.abs(z) <= 8, 0, (8 * np.sign(z) - z) / (np.sqrt(n) / 0.05 + 2 * 0.1))
    found = trained(O.Ftrl(0.05, l1_regularization_strength=8.0, l2_regularization_strength=0.1))
    np.testing.assert_allclose(found, w, rtol=1e-9, atol=1e-12)
    assert 0 < np.count_nonzero(found == 0) < 12


def test_weight_decay_comes_before_the_step():
    w = W.copy()
    for g in gradients():
        w = w * (1 - 0.1 * 0.5) - 0.1 * g
    np.testing.assert_allclose(trained(O.SGD(0.1, weight_decay=0.5)), w, rtol=1e-11)
    plain = O.SGD(0.1, weight_decay=0.5)
    weight = Tensor(W.copy(), requires_grad=True)
    plain.exclude_from_weight_decay([weight])
    plain.apply_gradients([(np.zeros((3, 4)), weight)])
    np.testing.assert_array_equal(weight.data, W)
    state = {"m": 0.0, "v": 0.0, "x": 0.0}
    w = W.copy()
    for t, g in enumerate(gradients(), 1):
        w = w * (1 - 0.01 * 0.004) + adam(t, g, state, 0.01)
    np.testing.assert_allclose(trained(O.AdamW(0.01)), w, rtol=1e-11)


def test_gradients_are_shortened_together():
    a, b = (Tensor(np.zeros(2), requires_grad=True) for _ in range(2))
    O.SGD(1.0, global_clipnorm=1.0).apply_gradients([([3.0, 0.0], a), ([0.0, 4.0], b)])
    np.testing.assert_allclose([a.data, b.data], [[-0.6, 0], [0, -0.8]])
    with pytest.raises(InvalidArgument, match="global_clipnorm, or clipnorm and clipvalue, not both"):
        O.SGD(global_clipnorm=1.0, clipnorm=1.0)


def test_averages_and_accumulated_gradients():
    w, average = W.copy(), None
    for t, g in enumerate(gradients(), 1):
        w = w - 0.1 * g
        average = w if average is None else 0.9 * average + 0.1 * w
        if t % 6 == 0:
            w = average.copy()
    optimizer = O.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=6)
    weight = Tensor(W.copy(), requires_grad=True)
    for g in gradients():
        optimizer.apply_gradients([(g, weight)])
    np.testing.assert_allclose(weight.data, w, rtol=1e-11)
    optimizer.swap_averages([weight])
    np.testing.assert_allclose(weight.data, average, rtol=1e-11)
    optimizer.swap_averages([weight])
    np.testing.assert_allclose(weight.data, w, rtol=1e-11)
    optimizer.finalize_variable_values([weight])
    np.testing.assert_allclose(weight.data, average, rtol=1e-11)
    means = np.reshape(gradients(), (5, 4, 3, 4)).mean(axis=1)
    np.testing.assert_allclose(trained(O.SGD(0.1, gradient_accumulation_steps=4)), W - 0.1 * means.sum(axis=0))


@pytest.mark.parametrize("make", [O.Nadam, lambda: O.Adam(amsgrad=True, use_ema=True), lambda: O.SGD(momentum=0.9)])
def test_states_are_saved_and_taken_up(make):
    whole, first = trained(make()), make()
    w = Tensor(W.copy(), requires_grad=True)
    for g in gradients()[:7]:
        first.apply_gradients([(g, w)])
    second = make()
    second.set_state(first.get_state())
    for g in gradients()[7:]:
        second.apply_gradients([(g, w)])
    np.testing.assert_array_equal(w.data, whole)


def test_schedules():
    given = {
        S.ExponentialDecay(0.1, 5, 0.5): lambda t: 0.1 * 0.5 ** (t / 5),
        S.ExponentialDecay(0.1, 5, 0.5, staircase=True): lambda t: 0.1 * 0.5 ** (t // 5),
        S.InverseTimeDecay(0.1, 5, 2.0): lambda t: 0.1 / (1 + 2 * t / 5),
        S.PiecewiseConstantDecay([3, 8], [3.0, 2.0, 1.0]): lambda t: 1.0 + (t <= 3) + (t <= 8),
        S.PolynomialDecay(0.1, 10, 0.01, power=2): lambda t: 0.09 * (1 - min(t, 10) / 10) ** 2 + 0.01,
        S.PolynomialDecay(0.1, 10, 0.01, cycle=True): lambda t: 0.09 * (1 - t / (10 * max(1, -(-t // 10)))) + 0.01,
        S.CosineDecay(0.1, 10, alpha=0.2): lambda t: 0.1 * (0.8 * (1 + math.cos(math.pi * min(t, 10) / 10)) / 2 + 0.2),
        S.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=5): lambda t: (
            0.02 * t if t < 5 else 0.05 * (1 + math.cos(math.pi * min(t - 5, 10) / 10))
        ),
        S.CosineDecayRestarts(0.1, 10, t_mul=1.0, m_mul=0.5): lambda t: (
            0.1 * 0.5 ** (t // 10) * (1 + math.cos(math.pi * (t % 10) / 10)) / 2
        ),
    }
    for schedule, formula in given.items():
        for t in range(40):
            assert schedule(t) == pytest.approx(formula(t), abs=1e-15)
        again = type(schedule).from_config(schedule.get_config())
        assert [again(t) for t in range(40)] == [schedule(t) for t in range(40)]
    doubling = S.CosineDecayRestarts(0.1, 10)
    assert [doubling(t) for t in (0, 10, 30, 70)] == [0.1] * 4
    optimizer = O.SGD(S.ExponentialDecay(0.1, 1, 0.5))
    trained(optimizer, steps=3)
    assert optimizer.learning_rate == pytest.approx(0.0125)
    assert isinstance(O.SGD.from_config(optimizer.get_config()).schedule, S.ExponentialDecay)
    optimizer.learning_rate = 0.5
    assert optimizer.schedule is None and optimizer.learning_rate == 0.5


def test_a_loss_scale_finds_its_size():
    optimizer = O.LossScaleOptimizer(O.SGD(0.5), initial_scale=8.0, dynamic_growth_steps=2)
    w = Tensor(np.ones(2), requires_grad=True)
    for scale, g in ((8, 8.0), (8, 8.0), (16, np.inf), (8, np.nan), (4, 4.0)):
        assert optimizer.dynamic_scale == scale
        optimizer.apply_gradients([(np.full(2, g), w)])
    assert w.data.tolist() == [-0.5, -0.5]
    assert optimizer.iterations == 3
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(3,))], seed=1)
    twin = keras.Sequential([keras.layers.Dense(1, input_shape=(3,))], seed=1)
    x, y = W[:, :3], W[:, 3]
    model.compile(O.LossScaleOptimizer(O.Adam(0.1)), "mse")
    twin.compile(O.Adam(0.1), "mse")
    model.fit(x, y, epochs=3, verbose=0)
    twin.fit(x, y, epochs=3, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], twin.get_weights()[0], rtol=1e-5)


L = keras.layers
X, Y = np.random.default_rng(0).standard_normal((40, 6)), np.arange(40) % 2


def small(optimizer, seed=3):
    model = keras.Sequential(
        [L.Dense(8, activation="relu", input_dim=6), L.Dropout(0.3), L.Dense(2, activation="softmax")], seed=seed
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


class Cut(C.Callback):
    def __init__(self, after):
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("freq, after", [("epoch", 7), (1, 1), (1, 10), (3, 8)])
def test_training_goes_on_bit_for_bit_after_an_interruption(freq, after, tmp_path, capsys):
    whole = small(O.Adam(0.01))
    whole.fit(X, Y, 8, 3, verbose=0)
    options = {"batch_size": 8, "epochs": 3, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        small(O.Adam(0.01)).fit(X, Y, callbacks=[C.BackupAndRestore(tmp_path, freq), Cut(after)], **options)
    assert len(list(tmp_path.iterdir())) == 1
    other = small(O.Adam(0.01), seed=99)
    other.fit(X, Y, callbacks=[C.BackupAndRestore(tmp_path, freq)], **options)
    assert all(map(np.array_equal, whole.get_weights(), other.get_weights()))
    assert not list(tmp_path.iterdir())
    assert "Training goes on from epoch" in capsys.readouterr().out


def test_averages_are_what_is_validated_and_left():
    for on_epoch in (False, True):
        model = small(O.SGD(0.5, use_ema=True, ema_momentum=0.5))
        history = model.fit(X, Y, 8, 2, verbose=0, validation_data=(X, Y), callbacks=[C.SwapEMAWeights(on_epoch)])
        assert history.history["val_loss"][-1] == model.evaluate(X, Y, verbose=0)
    with pytest.raises(InvalidArgument, match="use_ema=True"):
        small("sgd").fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[C.SwapEMAWeights()])


def test_the_docs_example_of_early_stopping():
    """One number for each sample and ten outputs: Keras compares it with each of them."""
    callback = C.EarlyStopping(monitor="loss", patience=3)
    model = keras.models.Sequential([L.Dense(10)])
    model.compile(O.SGD(), loss="mse")
    with (
        np.errstate(all="ignore"),
        pytest.warns(UserWarning, match="one number for each sample but the model makes 10"),
    ):
        history = model.fit(
            np.arange(100).reshape(5, 20), np.zeros(5), epochs=10, batch_size=1, callbacks=[callback], verbose=0
        )
    assert len(history.history["loss"]) == 4


def test_a_remote_monitor_tells_each_epoch(monkeypatch):
    import json
    import urllib.request

    sent = []

    class Answer:
        def close(self):
            pass

    monkeypatch.setattr(urllib.request, "urlopen", lambda request, timeout: sent.append(request) or Answer())
    small("sgd").fit(X, Y, epochs=2, verbose=0, callbacks=[C.RemoteMonitor(send_as_json=True, headers={"A": "b"})])
    assert [json.loads(request.data)["epoch"] for request in sent] == [0, 1]
    assert sent[0].full_url == "http://localhost:9000/publish/epoch/end/" and sent[0].headers["A"] == "b"

    def refuse(request, timeout):
        raise OSError("nobody there")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.warns(UserWarning, match="RemoteMonitor could not reach"):
        small("sgd").fit(X, Y, verbose=0, callbacks=[C.RemoteMonitor()])


def test_processes_skip_the_same_steps(monkeypatch):
    """Whether a step is skipped is told by the gradients of all processes, not by those of one."""

    class Part:
        def sum_gradients(self, weights):
            for w in weights:
                w.grad = w.grad + np.float32(np.inf)  # which another process brought

    monkeypatch.setattr("fastconv.nn.optimizers.base.part_of_batch", Part)
    w, optimizer = (
        Tensor(np.ones(3, np.float32), requires_grad=True),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
    )
    w.grad = np.ones(3, np.float32)
    optimizer.apply([w])
    assert (optimizer.dynamic_scale, optimizer.iterations) == (optimizer.initial_scale / 2, 0)
    np.testing.assert_array_equal(w.values, 1)
