"""Transforms alone: Winograd's to planes and back, and the Fourier transform's butterflies and passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...cpu import repeated
from ...cpu.fft.transform import BACK, FORWARD, RADICES, frequencies, passes, transform_address
from ...cpu.winograd import transforms
from ...cpu.winograd.points import PAIRS, TAPS
from .subjects import BYTES, FLOPS, Numbers, Subject, deviation

LENGTHS = (16, 24, 32, 48, 64, 96, 128)  # of lines that method "fft" cuts images into
SIDES = FORWARD, BACK
L1_VECTORS = 256  # real and imaginary parts of all points together: half of a first-level cache of 32 KiB


def winograd(dtype: str) -> Iterator[Subject]:
    """Each role of F(2x2, 3x3) and F(4x4, 3x3), for two vectors of channels."""
    for m in PAIRS:
        side = _Winograd(dtype, m, tiles=8 // m)
        for role, run, values in side.roles():
            size = values + (m + 2) ** 2
            bytes_ = float(side.tiles * size * side.depth * side.numbers.dtype.itemsize)
            yield Subject("winograd", f"F({m}x{m}, 3x3) {role}", "L1", bytes_, BYTES, run, side.error(role))


@dataclass
class _Winograd:
    """A row of tiles, and as many filters: what goes to planes, is multiplied there, and comes back."""

    dtype: str
    m: int
    tiles: int

    def __post_init__(self) -> None:
        m, self.numbers = self.m, Numbers(self.dtype)
        self.depth, self.t = 2 * self.numbers.lanes, m + 2
        self.plane = self.tiles * self.depth
        self.x = self.numbers.normal(self.t, self.tiles * m + 2, self.depth)
        self.w = self.numbers.normal(TAPS, TAPS, self.tiles, self.depth)
        self.dy = self.numbers.normal(m, self.tiles * m, self.depth)
        self.y, self.dw = self.numbers.empty(*self.dy.shape), self.numbers.empty(*self.w.shape)
        self.zeros = self.numbers.filled(0, self.depth)
        self.planes = {
            name: self.numbers.empty(self.t**2, self.tiles, self.depth) for name in ("input", "filter", "gradient")
        }
        self.products = self.numbers.normal(self.t**2, self.tiles, self.depth)

    def roles(self) -> Iterator[tuple[str, Callable[[int], None], int]]:
        """Each transform's name, what runs it, and how many values outside of the planes a tile has."""
        yield "input", self.input, self.t**2
        yield "filter", self.filter, TAPS**2
        yield "gradient", self.gradient, self.m**2
        yield "output", self.output, self.m**2
        yield "weights", self.weights, TAPS**2

    def input(self, times: int) -> None:
        self._to_planes(times, transforms.input_address, self.x, self.planes["input"])

    def gradient(self, times: int) -> None:
        self._to_planes(times, transforms.gradient_address, self.dy, self.planes["gradient"])

    def _to_planes(self, times: int, address: Callable[[int], int], x: np.ndarray, v: np.ndarray) -> None:
        high, wide, depth = x.shape
        rows, cols = np.arange(high) * wide * depth, np.arange(wide) * depth
        repeated.repeat_to_planes(
            times, address(x.itemsize), self.m, x.reshape(-1), rows, cols, self.zeros, self.tiles, depth, v.reshape(-1),
            depth, self.plane,
        )  # fmt: skip

    def filter(self, times: int) -> None:
        row = self.tiles * self.depth
        rows, cols = np.arange(TAPS) * TAPS * row, np.arange(TAPS) * row
        repeated.repeat_filters(
            times, transforms.filter_address(self.w.itemsize), self.m, self.w.reshape(-1), self.depth, rows, cols,
            self.tiles, self.depth, self.planes["filter"].reshape(-1), self.depth, self.plane,
        )  # fmt: skip

    def output(self, times: int) -> None:
        m, (high, wide, depth) = self.m, self.y.shape
        rows, cols = np.arange(high) * wide * depth, np.arange(wide) * depth
        repeated.repeat_output(
            times, transforms.output_address(self.y.itemsize), m, self.products.reshape(-1), depth, self.plane,
            self.tiles, self.y.reshape(-1), rows, cols, depth, self.zeros,
        )  # fmt: skip

    def weights(self, times: int) -> None:
        row = self.tiles * self.depth
        repeated.repeat_weights(
            times, transforms.weights_address(self.dw.itemsize), self.m, self.products.reshape(-1), self.depth,
            self.plane, self.tiles, self.dw.reshape(-1), self.depth, TAPS * row, row, self.depth,
        )  # fmt: skip

    def error(self, role: str) -> Callable[[], float]:
        """The check that a role takes part in: a convolution's three transforms, or those of a weight gradient."""
        return self._weights_error if role in ("gradient", "weights") else self._output_error

    def _output_error(self) -> float:
        """Tile k is convolved with filter k, channel by channel."""
        self.input(1)
        self.filter(1)
        self.products[:] = self.planes["input"] * self.planes["filter"]
        self.output(1)
        expected = np.zeros(self.y.shape)
        for k in range(self.tiles):
            columns = slice(k * self.m, (k + 1) * self.m)
            for u in range(TAPS):
                for v in range(TAPS):
                    seen = self.x[u : u + self.m, v + columns.start : v + columns.stop]
                    expected[:, columns] += seen * self.w[u, v, k].astype(float)
        return deviation(self.y, expected)

    def _weights_error(self) -> float:
        self.input(1)
        self.gradient(1)
        self.products[:] = self.planes["input"] * self.planes["gradient"]
        self.weights(1)
        expected = np.zeros(self.dw.shape)
        for k in range(self.tiles):
            columns = slice(k * self.m, (k + 1) * self.m)
            for u in range(TAPS):
                for v in range(TAPS):
                    seen = self.x[u : u + self.m, v + columns.start : v + columns.stop]
                    expected[u, v, k] = np.sum(seen * self.dy[:, columns].astype(float), axis=(0, 1))
        return deviation(self.dw, expected)


def fourier(dtype: str) -> Iterator[Subject]:
    """Butterflies by themselves (a transform of as many points is one), then whole transforms, there and back."""
    for n in (*RADICES, *LENGTHS):
        for back in SIDES:
            yield _fourier(dtype, n, back)


def _fourier(dtype: str, n: int, back: int) -> Subject:
    numbers = Numbers(dtype)
    lanes, count = numbers.lanes, max(1, L1_VECTORS // (2 * n))
    points, table = passes(n, numbers.dtype.itemsize), transform_address(numbers.dtype.itemsize)
    data = numbers.filled(0, count, n, 2, lanes)  # zeros stay zeros, however often they are transformed

    def run(times: int, on: np.ndarray = data) -> None:
        repeated.repeat_transform(
            times, table, back, points.table, points.twiddles, on.reshape(-1), count, 2 * n * lanes, 2 * lanes, lanes
        )

    def error() -> float:
        given = numbers.normal(*data.shape)
        signal, result = _complex(given), given.copy()
        order = frequencies(n)
        run(1, result)
        if back == BACK:
            spectrum = np.empty_like(signal)
            spectrum[:, order] = signal
            return deviation(_complex(result), np.fft.ifft(spectrum, axis=1) * n)
        return deviation(_complex(result), np.fft.fft(signal, axis=1)[:, order])

    work = 5.0 * n * math.log2(n) * lanes * count  # the usual count, whatever the radices save
    name = f"{'butterfly of' if len(points.radices) == 1 else 'transform of'} {n}{', back' if back == BACK else ''}"
    return Subject("fft", name, "L1", work, FLOPS, run, error)


def _complex(data: np.ndarray) -> np.ndarray:
    return data[:, :, 0].astype(float) + 1j * data[:, :, 1]
