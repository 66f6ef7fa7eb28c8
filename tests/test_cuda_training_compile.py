"""The kernels that training needs go through the real compiler: types, registers, local memory."""

import cuda_compiler
import numpy as np
import pytest
from cuda_compiler import ARCHITECTURES, check, compiler
from cuda_small import carried
from test_cuda_updates import STEPS

from fastconv.cuda import backend, launch, samples
from fastconv.ops import elementwise, group_normalization, normalization, updates

if cuda_compiler.missing:
    pytest.skip(cuda_compiler.missing, allow_module_level=True)

__all__ = ["compiler"]  # fixtures

SHAPES = [(30000, 40), (300, 40, 70)]  # channels last and first, sums in many parts


def zeros(dtype, *shapes):
    return carried(*(np.zeros(shape, dtype) for shape in shapes))


def activations(dtype, shape):
    (x,) = zeros(dtype, shape)
    for function in (elementwise.relu, elementwise.sigmoid, elementwise.tanh):
        function(x)
    elementwise.relu(x, 0.25)
    elementwise.dropout(x, 0.5, 1)
    for kind in (None, "relu", "leaky_relu", "sigmoid", "tanh", *elementwise.FROM_INPUT):
        elementwise.activation_grad(x, x, kind, 1)
        elementwise.activation_grad(x, x, kind)


def softmax(dtype, shape):
    z, loss, losses = zeros(dtype, shape, (), (int(np.prod(shape[:-1])),))
    for logarithm in (False, True):
        elementwise.softmax(z, logarithm)
        elementwise.softmax_grad(z, z, logarithm)
    elementwise.softmax_cross_entropy(z, z)
    elementwise.softmax_cross_entropy_grad(losses, z, z)
    elementwise.mean_cross_entropy(z, z)
    elementwise.mean_cross_entropy_grad(loss, z, z)


def batch_norm(dtype, shape):
    x, gamma = zeros(dtype, shape, shape[1:2])
    for relu in (False, True):
        normalization.channel_statistics(x, 1, relu)
        for running in (None, (gamma, gamma)):
            normalization.batch_norm_training(x, gamma, gamma, running, 0.9, 1e-3, 1, relu)
        normalization.batch_norm(x, gamma, gamma, gamma, gamma, 1e-3, 1, relu)
        for training in (False, True):
            normalization.batch_norm_grad(x, x, gamma, gamma, gamma, 1e-3, 1, relu, training)
        normalization.batch_norm_grad(x, x, gamma, gamma, gamma, 1e-3, 1, relu, input_grad=False)


def layer_norm(dtype, shape):
    x, gamma = zeros(dtype, shape, shape[1:2])
    for centred in (False, True):
        y, statistics = group_normalization.layer_norm(x, gamma, gamma, 1e-3, (1,), centred)
        group_normalization.layer_norm_grad(y, x, statistics, gamma, (1,), centred)
    y, statistics = group_normalization.group_norm(x, gamma, gamma, 1e-3, 4, 1)
    group_normalization.group_norm_grad(y, x, statistics, gamma, 1)


def steps(dtype, shape):
    (w,) = zeros(dtype, shape[:1])
    for count in (1, 22):  # the lecture's network has 22 weights that are trained
        for name, kept, numbers, _ in STEPS:
            updates.together(name, [(w,) * (kept + 2)] * count, numbers)
    updates.clipped(w, length=1.0)


def scores(dtype, shape):
    x, sums = zeros(dtype, (shape[0], shape[1]), (8,))
    labels, order = zeros(np.int32, shape[:1], shape[:1])
    pixels = zeros(np.uint8, (shape[0], shape[1]))[0]
    samples.gather(pixels.handle, order.handle, x.handle, 0)
    samples.gather(labels.handle, order.handle, labels.handle, 0)
    samples.one_hot(labels.handle, x.handle)
    samples.note(sums.handle, sums.handle, 3)
    for kind in (*samples.BY_CLASS, *samples.BY_VALUE):
        target = labels if kind.startswith("sparse") else x
        samples.add_scores(target.handle, x.handle, sums.handle, 1, kind=kind, number=1)


FAMILIES = [activations, softmax, batch_norm, layer_norm, steps, scores]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_kernels_compile(compiler, family):
    family("float32", SHAPES[0])
    check(compiler, "float32")
    assert max(report["registers"] for report in compiler.reports) <= 64, "half of the threads would not fit"


def one_of_each(dtype, shape):
    """The largest kernel of each family."""
    x, gamma, loss = zeros(dtype, shape, shape[1:2], ())
    elementwise.activation_grad(x, x, "relu", 1)
    elementwise.dropout(x, 0.5, 1)
    elementwise.mean_cross_entropy(x, x)
    elementwise.mean_cross_entropy_grad(loss, x, x)
    y, mean, var = normalization.batch_norm_training(x, gamma, gamma, (gamma, gamma), 0.9, 1e-3, 1, True)
    normalization.batch_norm_grad(y, x, mean, var, gamma, 1e-3, 1, True)
    y, statistics = group_normalization.group_norm(x, gamma, gamma, 1e-3, 4, 1)
    group_normalization.group_norm_grad(y, x, statistics, gamma, 1)
    updates.together("adam", [(gamma,) * 4] * 17, (0.1, 0.9, 0.9, 1e-7))
    samples.add_scores(x.handle, x.handle, gamma.handle, 1, kind="top_k", number=2)


def test_float64_compiles(compiler):
    one_of_each("float64", SHAPES[1])
    check(compiler, "float64")


def test_wide_indices_compile(compiler, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    one_of_each("float32", SHAPES[1])
    check(compiler, "float32")


@pytest.mark.parametrize("target", [t for t in ARCHITECTURES if t[:2] != (9, 0)], ids=str)
def test_kernels_compile_on_every_architecture(target, monkeypatch):
    compiler = cuda_compiler.Compiler(target)
    compiler.install(monkeypatch)
    with backend.run_on(compiler):
        one_of_each("float32", SHAPES[0])
    check(compiler, "float32")
