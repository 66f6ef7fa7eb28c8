"""The zoo's networks written in torch.nn, by hand, as their sources describe them; `NETWORKS` has them by name.

Channels first, the last softmax left to the loss. Where Keras's "same" pads one side only, so does a layer of its own.
"""

import numpy as np
import pytest
from zoo_training import EPSILON

torch = pytest.importorskip("torch")
nn = torch.nn


class Flat(nn.Module):
    """Rows in the order of channels-last arrays, which the weights after it were made for."""

    def forward(self, x):
        return x.movedim(1, -1).flatten(1)


class Mean(nn.Module):
    def forward(self, x):
        return x.flatten(2).mean(2)


def normalised(channels, rank=2):
    """Keras's batch normalisation, whose moving means keep 0.99."""
    return {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 0: nn.BatchNorm1d}[rank](channels, eps=EPSILON, momentum=0.01)


def lecture_cnn(channels, classes, size=28):
    layers, before = [], channels
    for filters in (32, 64):
        for _ in range(2):
            layers += [nn.Conv2d(before, filters, 3, padding=1), nn.ReLU(), normalised(filters)]
            before = filters
        layers += [nn.MaxPool2d(2)]
    dense = [Flat(), nn.Linear((size // 4) ** 2 * 64, 512), nn.ReLU(), normalised(512, rank=0), nn.Linear(512, classes)]
    return nn.Sequential(*layers, *dense)


def mnist_cnn(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), Flat(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


def car_truck_cnn(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 32, 7), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(), Flat(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


def lenet5(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(),
        nn.AvgPool2d(2), nn.Conv2d(16, 120, 5), nn.Tanh(), Flat(), nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, classes),
    )  # fmt: skip


def alexnet(channels, classes, units):
    return nn.Sequential(
        nn.Conv2d(channels, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        Flat(), nn.Linear(256, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, classes),
    )  # fmt: skip


def mobilenet(channels, classes):
    layers, before = [nn.Conv2d(channels, 32, 3, padding=1, bias=False), normalised(32), nn.ReLU()], 32
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += [nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else 1)]
        layers += [
            nn.Conv2d(before, before, 3, stride=stride, groups=before, bias=False),
            normalised(before),
            nn.ReLU(),
        ]
        layers += [nn.Conv2d(before, filters, 1, bias=False), normalised(filters), nn.ReLU()]
        before = filters
    return nn.Sequential(*layers, Mean(), nn.Linear(256, classes))


class Block(nn.Module):
    def __init__(self, before, filters, stride):
        super().__init__()
        self.padding = nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else 1)
        self.first, self.first_normalised = nn.Conv2d(before, filters, 3, stride=stride), normalised(filters)
        self.second = nn.Conv2d(filters, filters, 3, padding=1)
        if stride == 2:
            self.skip = nn.Conv2d(before, filters, 1, stride=2)
        self.second_normalised = normalised(filters)

    def forward(self, x):
        y = torch.relu(self.first_normalised(self.first(self.padding(x))))
        y = self.second_normalised(self.second(y))
        return torch.relu(y + (self.skip(x) if hasattr(self, "skip") else x))


def resnet20(channels, classes):
    layers, before = [nn.Conv2d(channels, 16, 3, padding=1), normalised(16), nn.ReLU()], 16
    for filters in (16, 32, 64):
        for block in range(3):
            layers += [Block(before, filters, 2 if filters > 16 and not block else 1)]
            before = filters
    return nn.Sequential(*layers, Mean(), nn.Linear(64, classes))


def series_cnn(channels, classes):
    layers, before = [], channels
    for filters, steps in ((128, 8), (256, 5), (128, 3)):
        layers += [nn.Conv1d(before, filters, steps, padding="same"), normalised(filters, rank=1), nn.ReLU()]
        before = filters
    return nn.Sequential(*layers, Mean(), nn.Linear(128, classes))


def video_cnn(channels, classes):
    return nn.Sequential(
        nn.Conv3d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool3d((1, 2, 2)),
        nn.Conv3d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(32, 64, 3, padding=1), nn.ReLU(), Mean(), nn.Linear(64, classes),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self, channels, filters, depth):
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level in range(depth + 1):
            self.down.append(self.pair(filters << (level - 1) if level else channels, filters << level))
        for level in reversed(range(depth)):
            wide = filters << level
            self.up.append(nn.ModuleList([nn.ConvTranspose2d(2 * wide, wide, 2, stride=2), self.pair(2 * wide, wide)]))
        self.last = nn.Conv2d(filters, 1, 1)

    @staticmethod
    def pair(before, filters):
        second = nn.Conv2d(filters, filters, 3, padding=1)
        return nn.Sequential(nn.Conv2d(before, filters, 3, padding=1), nn.ReLU(), second, nn.ReLU())

    def forward(self, x):
        levels = []
        for level, down in enumerate(self.down):
            x = down(nn.functional.max_pool2d(x, 2) if level else x)
            levels.append(x)
        for beside, (up, pair) in zip(reversed(levels[:-1]), self.up, strict=True):
            x = pair(torch.cat([up(x), beside], dim=1))
        return self.last(x)


def unet(channels, classes, filters, depth):
    return UNet(channels, filters, depth)


class Cut(nn.Module):
    """What Keras's "same" leaves of a transposed convolution of 3 with stride 2."""

    def forward(self, x):
        return x[:, :, :-1, :-1]


def autoencoder(channels, classes):
    layers, before = [], channels
    for filters in (16, 32):
        layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(before, filters, 3, stride=2), nn.ReLU()]
        before = filters
    for filters in (16, 8):
        layers += [nn.ConvTranspose2d(before, filters, 3, stride=2), Cut(), nn.ReLU()]
        before = filters
    return nn.Sequential(*layers, nn.Conv2d(8, channels, 3, padding=1), nn.Sigmoid())


NETWORKS = {
    "lecture-cnn": lecture_cnn,
    "fashion-cnn": lecture_cnn,  # but for dropout, which comparisons leave out
    "mnist-cnn": mnist_cnn,
    "car-truck-cnn": car_truck_cnn,
    "lenet-5": lenet5,
    "alexnet": alexnet,
    "mobilenet": mobilenet,
    "resnet-20": resnet20,
    "series-cnn": series_cnn,
    "video-cnn": video_cnn,
    "u-net": unet,
    "autoencoder": autoencoder,
}

LOSSES = {
    "sparse_categorical_crossentropy": nn.functional.cross_entropy,
    "binary_crossentropy": nn.functional.binary_cross_entropy_with_logits,
    "mse": nn.functional.mse_loss,
}


def channels_first(w, shape, name):
    """A weight of a channels-last layer as PyTorch's layer holds it, whose shape says which one that is."""
    w = w.T if w.ndim == 2 else np.moveaxis(w, (-1, -2), (0, 1)) if w.ndim > 2 else w
    w = w if w.shape == tuple(shape) else w.swapaxes(0, 1)  # of a depthwise convolution
    assert w.shape == tuple(shape), name
    return np.ascontiguousarray(w)
