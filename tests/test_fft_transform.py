"""The transform that method "fft" rests on, against NumPy's; half spectra, four-step twiddles, other vector units."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from fastconv.cpu.fft import channels_kernels as channels
from fastconv.cpu.fft.planes_kernels import twist
from fastconv.cpu.fft.points import join_points, tell_apart
from fastconv.cpu.fft.tiled import lines_of
from fastconv.cpu.fft.tiles import Room
from fastconv.cpu.fft.tiling import FourierTile
from fastconv.cpu.fft.transform import (
    BACK,
    FORWARD,
    factors,
    frequencies,
    is_smooth,
    passes,
    transform,
    transform_address,
)
from fastconv.simd.fields import fields, packed
from fastconv.simd.host import host

FLOATS = ("float32", "float64")
LENGTHS = [n for n in range(1, 200) if is_smooth(n)] + [360, 384, 432, 480, 512, 600, 1000, 1024, 2048, 6075]


@numba.njit
def run(address, back, table, twiddles, data, base, count, hop, step, imaginary):
    transform(address, back, table, twiddles, data, base, count, hop, step, imaginary)


@numba.njit
def apart(t, half, z):
    size = z.size // (half.size // 2) // 2
    for f in range(half.size // 2):
        tell_apart(t, half[2 * f], half[2 * f + 1], z, 2 * f * size, (2 * f + 1) * size)


@numba.njit
def together(z, half, t):
    size = z.size // (half.size // 2) // 2
    for f in range(half.size // 2):
        join_points(z, 2 * f * size, (2 * f + 1) * size, t, half[2 * f], half[2 * f + 1])


def transformed(points, back):
    """A complex (n, lanes) array through the transform, points side by side."""
    real = points.real.dtype
    n, lanes = points.shape
    p = passes(n, real.itemsize)
    data = np.stack([points.real, points.imag], axis=1).reshape(-1)
    run(transform_address(real.itemsize), back, p.table, p.twiddles, data, 0, 1, 0, 2 * lanes, lanes)
    data = data.reshape(n, 2, lanes)
    return data[:, 0] + 1j * data[:, 1]


def draw(rng, n, dtype):
    lanes = host().lanes(np.dtype(dtype).itemsize)
    return (rng.standard_normal((n, lanes)) + 1j * rng.standard_normal((n, lanes))).astype(np.result_type(dtype, "c8"))


@pytest.mark.parametrize("dtype", FLOATS)
def test_equals_numpys(dtype, rng):
    """Every length, both directions, there and back; the error stays below eps*log2(n) of the largest result."""
    for n in LENGTHS:
        x = draw(rng, n, dtype)
        bound = np.finfo(dtype).eps * max(1.0, np.log2(n))
        expected = np.fft.fft(x.astype(complex), axis=0)[frequencies(n)]
        spectrum = transformed(x, FORWARD)
        assert np.abs(spectrum - expected).max() <= bound * np.abs(expected).max(), n
        back = np.empty_like(expected)
        back[frequencies(n)] = x
        expected = np.fft.ifft(back, axis=0) * n
        assert np.abs(transformed(x, BACK) - expected).max() <= bound * np.abs(expected).max(), n
        assert np.abs(transformed(spectrum, BACK) / n - x).max() <= 2 * bound * np.abs(x).max(), n


@pytest.mark.parametrize("registers", [16, 32])
def test_factors_make_the_length(registers):
    for n in LENGTHS:
        assert np.prod(factors(n, registers), initial=1) == n
        if registers == 16:
            assert 8 not in factors(n, registers)  # it would spill
    with pytest.raises(ValueError, match="a transform of 14 points"):
        factors(14, registers)


def test_frequencies_are_a_permutation():
    for n in LENGTHS:
        assert sorted(frequencies(n)) == list(range(n))
        assert frequencies(n)[0] == 0


def test_strides_and_sets(rng):
    """Several sets of lanes, real and imaginary planes apart, and nothing else is touched."""
    n, sets, lanes = 24, 3, host().lanes(4)
    row = sets * lanes + 5
    plane = n * row + 7
    data = rng.standard_normal(11 + 2 * plane).astype(np.float32)
    before, p = data.copy(), passes(n, 4)
    run(transform_address(4), FORWARD, p.table, p.twiddles, data, 11, sets, lanes, row, plane)

    def planes_of(array):
        return [array[11 + k * plane :][: n * row].reshape(n, row)[:, : sets * lanes] for k in (0, 1)]

    real, imaginary = planes_of(before)
    expected = np.fft.fft(real + 1j * imaginary.astype(complex), axis=0)[frequencies(n)]
    real, imaginary = planes_of(data)
    np.testing.assert_allclose(real + 1j * imaginary, expected, atol=1e-4)
    for part in (*planes_of(before), *planes_of(data)):
        part[...] = 0
    np.testing.assert_array_equal(data, before)


@pytest.mark.parametrize("shape", [(1, 1, 12), (1, 6, 8), (5, 1, 4), (3, 4, 10)], ids=str)
def test_half_a_spectrum_tells_both_parts(shape, rng):
    """Two real tiles in one transform, told apart at half of the frequencies, put together again, transformed back."""
    lanes = host().lanes(8)
    room = channels.room_of(shape, 8)
    steps, numbers = room.steps, packed(room)
    at = np.add.outer(np.add.outer(np.arange(shape[0]) * steps[0], np.arange(shape[1]) * steps[1]),
                      np.arange(shape[2]) * steps[2])[..., None] + np.arange(lanes)  # fmt: skip
    a, b = rng.standard_normal((2, *shape, lanes))
    t = np.zeros(shape[0] * steps[0])
    t[at], t[at + lanes] = a, b
    tile = FourierTile(shape, tuple(n > 1 for n in shape))
    lines = lines_of(tile, 8)
    there(transform_address(8), t, numbers, lines)
    half = channels.half_spectrum(shape, 8)
    z = np.zeros(half.size // 2 * 4 * lanes)
    apart(t, half, z)
    spectra = z.reshape(-1, 2, 2, lanes)
    order = np.ix_(*(frequencies(n) for n in shape))
    places = half[::2]
    for i, part in enumerate((a, b)):
        expected = np.zeros((t.size, lanes), complex)
        expected[at[..., 0].reshape(-1)] = np.fft.fftn(part, axes=(0, 1, 2))[order].reshape(-1, lanes)
        found = (spectra[:, i, 0] + 1j * spectra[:, i, 1]) / 2
        np.testing.assert_allclose(found, expected[places], atol=1e-12)
    assert len(places) == (np.prod(shape) + np.prod([2 - n % 2 for n in shape])) // 2
    t[...] = np.nan
    together(z, half, t)
    home(transform_address(8), t, numbers, lines)
    np.testing.assert_allclose(t[at] / np.prod(shape) / 2, a, atol=1e-13)
    np.testing.assert_allclose(t[at + lanes] / np.prod(shape) / 2, b, atol=1e-13)


@numba.njit
def there(address, t, numbers, lines):
    room = fields(Room, numbers)
    channels.forward(address, t, room, lines, room.shape.rows)


@numba.njit
def home(address, t, numbers, lines):
    room = fields(Room, numbers)
    channels.back(address, t, room, lines, room.shape.planes, room.shape.rows)


@pytest.mark.parametrize("dtype", FLOATS)
def test_factors_between_columns_and_rows(dtype):
    """The product of the two tables is the factor of the four-step transform."""
    itemsize = np.dtype(dtype).itemsize
    lanes = host().lanes(itemsize)
    T1, T2 = 3 * lanes, 5 * lanes
    coarse, fine = twist(FourierTile((1, T1, T2), (False, True, True), folded=True), itemsize)
    coarse, fine = (part.reshape(T1 // lanes, -1, 2, lanes).astype(float) for part in (coarse, fine))
    coarse, fine = (part[:, :, 0] + 1j * part[:, :, 1] for part in (coarse, fine))
    product = (coarse[:, :, None] * fine[:, None]).reshape(T1 // lanes, T2, lanes).swapaxes(1, 2).reshape(T1, T2)
    expected = np.exp(-2j * np.pi * np.outer(frequencies(T1), np.arange(T2)) / (T1 * T2))
    np.testing.assert_allclose(product, expected, atol=4 * np.finfo(dtype).eps)


OTHER_HOSTS = {"AVX2": ("haswell", "+avx2,+fma"), "SSE2": ("x86-64", "+sse2")}
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from cases import Case
from problems import OPS, problem
from tolerances import assert_close
from fastconv.simd.fields import fields, packed
from fastconv.simd.host import host
assert host().isa == sys.argv[2], host()
for case in (
    Case("image", (1, 1, 61, 67), (1, 1, 5, 7), {"padding": 2}),
    Case("signal", (1, 1, 3000), (1, 1, 31), {"padding": 15}),
    Case("volume", (1, 2, 9, 10, 11), (3, 2, 3, 2, 4), {"padding": 1}),
    Case("channels", (2, 13, 20, 21), (18, 13, 5, 4), {"stride": 2, "padding": 1}),
):
    data = problem(case)
    for op in OPS:
        for last in (False, True):
            assert_close(data.solve(op, last, "float32", method="fft"), data.expected(op), "fft", data.terms(op))
"""


@pytest.mark.parametrize("isa", OTHER_HOSTS)
def test_other_vector_units(isa):
    if host().isa not in ("AVX-512", "AVX2"):
        pytest.skip(f"this machine has {host().isa}")
    here = Path(__file__).parent
    cpu, features = OTHER_HOSTS[isa]
    environment = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "PYTHONPATH": str(here.parent)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(here), isa],
        env={**os.environ, **environment, "FASTCONV_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
