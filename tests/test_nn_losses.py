"""Losses and metrics beside their formulas in float64, their reductions, gradients, and those of one's own."""

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.autograd import Tensor
from fastconv.errors import InvalidArgument

E, M = keras.losses, keras.metrics
RNG = np.random.default_rng(11)
N, K = 6, 4
NUMBERS, OTHERS = RNG.standard_normal((2, N, K))
SHARES = RNG.random((N, K)) * 0.9 + 0.05
ROWS = SHARES / SHARES.sum(axis=1, keepdims=True)
CLASSES = RNG.integers(0, K, N)
HOT, BITS = np.eye(K)[CLASSES], RNG.integers(0, 2, (N, K)).astype(float)
SOFT = np.exp(OTHERS) / np.exp(OTHERS).sum(axis=1, keepdims=True)
SIGMOID = 1 / (1 + np.exp(-OTHERS))


def bce(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


CASES = [
    (E.CategoricalCrossentropy(label_smoothing=0.2), HOT, ROWS, lambda: -((0.8 * HOT + 0.05) * np.log(ROWS)).sum(1)),
    (E.CategoricalCrossentropy(from_logits=True), HOT, OTHERS, lambda: -(HOT * np.log(SOFT)).sum(1)),
    (E.SparseCategoricalCrossentropy(), CLASSES, ROWS, lambda: -np.log(ROWS[np.arange(N), CLASSES])),
    (E.BinaryCrossentropy(label_smoothing=0.2), BITS, SHARES, lambda: bce(0.8 * BITS + 0.1, SHARES).mean(1)),
    (E.BinaryCrossentropy(from_logits=True), BITS, OTHERS, lambda: bce(BITS, SIGMOID).mean(1)),
    (
        E.BinaryFocalCrossentropy(apply_class_balancing=True, gamma=1.5),
        BITS,
        SHARES,
        lambda: (
            np.where(BITS == 1, 0.25 * (1 - SHARES) ** 1.5, 0.75 * SHARES**1.5) * bce(BITS, SHARES)
        ).mean(1),
    ),
    (
        E.CategoricalFocalCrossentropy(alpha=[0.1, 0.2, 0.3, 0.4], from_logits=True),
        HOT,
        OTHERS,
        lambda: -(HOT * [0.1, 0.2, 0.3, 0.4] * (1 - SOFT) ** 2 * np.log(SOFT)).sum(1),
    ),
    (
        E.CategoricalGeneralizedCrossEntropy(0.7),
        CLASSES,
        ROWS,
        lambda: (1 - ROWS[np.arange(N), CLASSES] ** 0.7) / 0.7,
    ),
    (E.KLDivergence(), ROWS, SOFT, lambda: (ROWS * np.log(ROWS / SOFT)).sum(1)),
    (E.MeanSquaredError(), NUMBERS, OTHERS, lambda: ((NUMBERS - OTHERS) ** 2).mean(1)),
    (E.MeanAbsoluteError(), NUMBERS, OTHERS, lambda: np.abs(NUMBERS - OTHERS).mean(1)),
    (E.MeanAbsolutePercentageError(), NUMBERS, OTHERS, lambda: 100 * np.abs(1 - OTHERS / NUMBERS).mean(1)),
    (E.MeanSquaredLogarithmicError(), SHARES, ROWS, lambda: (np.log((1 + SHARES) / (1 + ROWS)) ** 2).mean(1)),
    (
        E.Huber(0.5),
        NUMBERS,
        OTHERS,
        lambda: np.where(
            np.abs(NUMBERS - OTHERS) <= 0.5, (NUMBERS - OTHERS) ** 2 / 2, 0.5 * np.abs(NUMBERS - OTHERS) - 0.125
        ).mean(1),
    ),
    (E.LogCosh(), NUMBERS, OTHERS, lambda: np.log(np.cosh(NUMBERS - OTHERS)).mean(1)),
    (
        E.CosineSimilarity(),
        NUMBERS,
        OTHERS,
        lambda: -(NUMBERS * OTHERS).sum(1) / np.linalg.norm(NUMBERS, axis=1) / np.linalg.norm(OTHERS, axis=1),
    ),
    (E.Poisson(), BITS, SHARES, lambda: (SHARES - BITS * np.log(SHARES)).mean(1)),
    (E.Hinge(), BITS, OTHERS, lambda: np.maximum(1 - (2 * BITS - 1) * OTHERS, 0).mean(1)),
    (E.SquaredHinge(), BITS, OTHERS, lambda: (np.maximum(1 - (2 * BITS - 1) * OTHERS, 0) ** 2).mean(1)),
    (
        E.CategoricalHinge(),
        HOT,
        OTHERS,
        lambda: np.maximum(((1 - HOT) * OTHERS).max(1) - (HOT * OTHERS).sum(1) + 1, 0),
    ),
    (E.Dice(axis=1), BITS, SHARES, lambda: 1 - 2 * (BITS * SHARES).sum(1) / (BITS + SHARES).sum(1)),
    (
        E.Tversky(0.3, 0.7, axis=1),
        BITS,
        SHARES,
        lambda: 1
        - (BITS * SHARES).sum(1)
        / (BITS * SHARES + 0.3 * BITS * (1 - SHARES) + 0.7 * SHARES * (1 - BITS)).sum(1),
    ),
]  # fmt: skip


@pytest.mark.parametrize("loss, y, p, formula", CASES, ids=[case[0].name for case in CASES])
def test_values_reductions_and_gradients(loss, y, p, formula):
    expected, weights = formula(), RNG.random(N) + 0.1
    loss.reduction = "none"
    np.testing.assert_allclose(loss(y, p), expected, rtol=3e-6, atol=1e-7)
    np.testing.assert_allclose(loss(y, p, sample_weight=weights), expected * weights, rtol=3e-6, atol=1e-7)
    for reduction, value in (
        ("sum", expected.sum()),
        ("mean", expected.mean()),
        ("mean_with_sample_weight", np.average(expected, weights=weights)),
    ):
        loss.reduction = reduction
        given = weights if reduction == "mean_with_sample_weight" else None
        assert loss(y, p, sample_weight=given) == pytest.approx(value, rel=3e-6, abs=1e-7)
    loss.reduction = "sum_over_batch_size"
    for given in (None, weights):
        at = Tensor(p.copy(), requires_grad=True)
        loss(y, at, sample_weight=given).backward()
        direction = RNG.standard_normal(p.shape)
        ends = [loss(y, p + h * direction, sample_weight=given) for h in (1e-5, -1e-5)]
        assert (at.grad * direction).sum() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-7)


def test_functions_names_and_labels_to_ignore():
    np.testing.assert_allclose(E.huber(NUMBERS, OTHERS, delta=0.5), [E.Huber(0.5)(*p) for p in zip(
        NUMBERS[:, None], OTHERS[:, None], strict=True)])  # fmt: skip
    grown = Tensor(OTHERS.copy(), requires_grad=True)
    E.mse(NUMBERS, grown).sum().backward()
    np.testing.assert_allclose(grown.grad, 2 * (OTHERS - NUMBERS) / K)
    for name, kind in (
        ("CategoricalCrossentropy", E.CategoricalCrossentropy),
        ("MSE", E.MeanSquaredError),
        ("kld", E.KLDivergence),
        ("log_cosh", E.LogCosh),
    ):
        assert type(E.get(name)) is kind
    assert isinstance(M.get("AUC"), M.AUC) and isinstance(M.get("F1Score"), M.F1Score)
    assert M.get("CategoricalAccuracy").name == "categorical_accuracy"
    assert isinstance(keras.optimizers.get("AdamW"), keras.optimizers.AdamW)
    y = np.where(np.arange(N) < 2, 255, CLASSES)
    kept = -np.log(ROWS[np.arange(N), CLASSES])[2:]
    loss = E.SparseCategoricalCrossentropy(ignore_class=255)
    assert loss(y, ROWS) == pytest.approx(kept.mean())
    pictures = ROWS.T[None, :, :, None]  # classes second
    of_axis = E.SparseCategoricalCrossentropy(axis=1)
    assert of_axis(CLASSES[None, :, None], pictures) == pytest.approx(-np.log(ROWS[np.arange(N), CLASSES]).mean())


def pairs(true, scores):
    """The share of pairs of a positive and a negative that are in the right order."""
    above = scores[true == 1][:, None] - scores[true == 0]
    return np.mean((above > 0) + (above == 0) / 2)


def test_metrics_of_decisions():
    true, scores = np.array([0, 0, 1, 1, 1, 0, 1, 0]), np.array([0.1, 0.4, 0.35, 0.8, 0.9, 0.6, 0.55, 0.2])
    weights = np.arange(1.0, 9)
    found = scores > 0.5
    hits, alarms, misses = (np.array(a) for a in (found & (true == 1), found & (true == 0), ~found & (true == 1)))
    for metric, value in (
        (M.Precision(), (hits * weights).sum() / ((hits + alarms) * weights).sum()),
        (M.Recall(), (hits * weights).sum() / ((hits + misses) * weights).sum()),
        (M.TruePositives(), (hits * weights).sum()),
        (M.FalsePositives(), (alarms * weights).sum()),
        (M.FalseNegatives(), (misses * weights).sum()),
        (M.TrueNegatives(), (weights * ~(hits | alarms | misses)).sum()),
    ):
        for part in (slice(0, 3), slice(3, 8)):
            metric.update_state(true[part], scores[part], sample_weight=weights[part])
        assert metric.result() == pytest.approx(value)
        metric.reset_state()
        assert metric.result() == 0
    area = M.AUC(num_thresholds=2001)
    area.update_state(true, scores)
    assert area.result() == pytest.approx(pairs(true, scores))
    several = M.Precision(thresholds=[0.5, 0.3])
    several.update_state(true, scores)
    np.testing.assert_allclose(several.result(), [3 / 4, 4 / 6])
    best = M.SensitivityAtSpecificity(0.75)
    best.update_state(true, scores)
    assert best.result() == pytest.approx(0.75)


def test_metrics_of_classes_and_numbers():
    true, pred = np.array([0, 1, 2, 2, 1, 0]), np.array([0, 2, 2, 2, 1, 1])
    f1 = M.F1Score()
    f1.update_state(np.eye(3)[true], np.eye(3)[pred])
    np.testing.assert_allclose(f1.result(), [2 / 3, 1 / 2, 4 / 5])
    overlap = M.MeanIoU(3)
    overlap.update_state(true, pred)
    assert overlap.result() == pytest.approx(np.mean([1 / 2, 1 / 3, 2 / 3]))
    root, score = M.RootMeanSquaredError(), M.R2Score()
    for metric in (root, score):
        metric.update_state(NUMBERS, OTHERS)
    assert root.result() == pytest.approx(np.sqrt(np.mean((NUMBERS - OTHERS) ** 2)))
    variation = ((NUMBERS - NUMBERS.mean(axis=0)) ** 2).sum(axis=0)
    assert score.result() == pytest.approx(np.mean(1 - ((NUMBERS - OTHERS) ** 2).sum(axis=0) / variation))


class Misses(M.Metric):
    """Keras's idiom."""

    def __init__(self, name="misses", **options):
        super().__init__(name=name, **options)
        self.seen = self.add_weight(name="seen", initializer="zeros")
        self.wrong = self.add_weight(name="wrong", shape=(2,), initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        wrong = y_pred.argmax(axis=1) != y_true
        self.seen.assign_add(len(y_true))
        self.wrong.assign(self.wrong + [wrong.sum(), 0])

    def result(self):
        return self.wrong[0] / self.seen


def test_a_metric_of_ones_own_begins_anew_each_epoch():
    x = RNG.standard_normal((20, 3))
    y = (x[:, 0] > 0).astype(int)
    model = keras.Sequential([keras.layers.Dense(2, activation="softmax", input_shape=(3,))], seed=1)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=["accuracy", Misses()])
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert history["misses"] == pytest.approx([1 - a for a in history["accuracy"]])
    assert history["misses"][0] == history["misses"][1]
    with pytest.raises(InvalidArgument, match="expected 'micro', 'macro' or 'weighted'"):
        M.F1Score(average="mean")
