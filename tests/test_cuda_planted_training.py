"""Bugs planted in the CUDA kernels of training that no other table reaches."""

import math

import numpy as np
import pytest
from cuda_small import carried, simulator
from planting import assert_noticed, mutated

from fastconv.cuda import backend, elementwise, normalization, samples, softmax, updates
from fastconv.ops import elementwise as host_elementwise
from fastconv.ops import normalization as host_normalization

__all__ = ["simulator"]
X = np.array([[3, -2, 7, -1, 4], [1, -5, 2, 8, -3], [6, 9, -4, 5, -7]], np.float32)


def handles(*arrays):
    return [array.handle for array in carried(*arrays)]


def element_wise(module):
    """(what the module's kernels wrote, what they should have)."""
    x = np.tile(X.reshape(-1), 60)  # more than a block
    there, y, dz, dropped = handles(x, *[np.empty_like(x)] * 3)
    module.activate(there, y, kind="relu")
    yield backend.to_host(y), np.maximum(x, 0)
    module.activation_grad(there, y, dz, kind="relu")
    yield backend.to_host(dz), x * (x > 0)
    module.dropout(there, dropped, seed=7, threshold=1 << 31, scale=2.0)
    yield backend.to_host(dropped), host_elementwise.dropout(x, 0.5, 7)


def sums_of_parts(module):
    from fastconv.cuda import channels

    dy = np.tile(X, (100, 1))
    there, sums = handles(dy, np.empty(5, np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels, "LEAST_PART", 16)
        module.activation_grad(there, None, None, sums, kind=None, axis=1)
    return [(backend.to_host(sums), dy.sum(axis=0))]


def statistics(module):
    x, mean, var = handles(X, *[np.empty(5, np.float32)] * 2)
    module.channel_statistics(x, mean, var, axis=1, relu=False)
    yield backend.to_host(mean), X.mean(axis=0)
    yield backend.to_host(var), X.var(axis=0)


def gradient_of_normalization(module):
    mean, var, ones = X.mean(axis=0), X.var(axis=0), np.ones(5, np.float32)
    dy = X[::-1].copy()
    outputs = [np.empty_like(X), np.empty(5, np.float32), np.empty(5, np.float32)]
    given = handles(dy, X, mean, var, ones, *outputs)
    module.batch_norm_grad(*given, axis=1, epsilon=0.5, relu=False, training=True)
    expected = host_normalization.batch_norm_grad(dy, X, mean, var, ones, 0.5, 1)
    return [(backend.to_host(a), e) for a, e in zip(given[5:], expected, strict=True)]


def labels_and_scores(module):
    labels, y, scores = handles(np.array([2, 0, 3], np.int32), np.empty((3, 4), np.float32), np.zeros(3, np.float32))
    module.one_hot(labels, y)
    yield backend.to_host(y), np.eye(4)[[2, 0, 3]]
    module.note(*handles(np.array([5], np.float32)), scores, 1)
    yield backend.to_host(scores), np.array([0, 5, 0])


def a_sum(module):
    x, y = handles(np.arange(19, dtype=np.float32), np.zeros(2, np.float32))
    module.add_up(x, 19, y, 1, 8)
    return [(backend.to_host(y), np.array([0, 171]))]


def shortened(module):
    g, y = handles(X, np.empty_like(X))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART", 4)
        module.shorten(g, y, 2.0)
    return [(backend.to_host(y), X * (2 / math.sqrt(float(np.square(X).sum()))))]


BUGS = {
    "the first of a thread's elements": (elementwise, "v[k] = function(x[i], slope)", "v[k] = function(x[first], slope)", element_wise),  # noqa: E501
    "of the first output": (elementwise, "v[k] = function(x[i], y[i], slope)", "v[k] = function(x[i], y[first], slope)", element_wise),  # noqa: E501
    "nothing is dropped": (elementwise, "if h < threshold else T(0)", "if h < threshold else T(x[i] * scale)", element_wise),  # noqa: E501
    "parts of the first channel": (elementwise, "shared[t] = add_parts(parts, channel, row, cut)", "shared[t] = add_parts(parts, U(0), row, cut)", sums_of_parts),  # noqa: E501
    "every row writes": (normalization, "if row == U(0) and real:\n            means[channel] = mean", "if real:\n            means[channel] = mean", statistics),  # noqa: E501
    "a sum of three": (normalization, "sums += (d[0] + d[1]) + (d[2] + d[3])", "sums += (d[0] + d[1]) + d[1]", gradient_of_normalization),  # noqa: E501
    "labels of the first": (samples, "U(labels[n]) == U(i", "U(labels[U(0)]) == U(i", labels_and_scores),
    "noted at the front": (samples, "scores[U(place)] = x[0]", "scores[U(0)] = x[0]", labels_and_scores),
    "one round": (softmax, "            i = U(i + U(threads))\n        shared[t] = found", "            i = U(i + U(size))\n        shared[t] = found", a_sum),  # noqa: E501
    "sums of magnitudes": (updates, "found += g[i] * g[i]", "found += abs(g[i])", shortened),
    "the square of the length": (updates, "norm = T(math.sqrt(block_sum(shared, t)))", "norm = T(block_sum(shared, t))", shortened),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_noticed(simulator, bug, tmp_path):
    _, old, new, run = BUGS[bug]
    assert_noticed(lambda: list(run(mutated(BUGS[bug][0], old, new, tmp_path))), 1e-4)


@pytest.mark.parametrize("bug", BUGS)
def test_without_a_bug_nothing_is_noticed(simulator, bug):
    module, _, _, run = BUGS[bug]
    with pytest.raises(pytest.fail.Exception):
        assert_noticed(lambda: list(run(module)), 1e-4)
