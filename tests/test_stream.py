"""`fastconv.signal.Stream`: blocks of any length give what the signal at once gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import signal
from fastconv.errors import InvalidArgument


def numbers(rng, shape, char):
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if char in "FD" else 10 * x).astype(char)


def full(x, taps):
    return np.convolve(x, taps) if x.size else np.zeros(taps.size - 1)


def check(taps, x, blocks, axis=-1):
    """Blocks of these lengths, one after the other, against float64."""
    stream, parts, start = signal.Stream(taps, axis=axis), [], 0
    for n in blocks:
        block = np.take(x, range(start, start + n), axis)
        parts.append(stream(block))
        assert parts[-1].shape == block.shape
        start += n
    assert start == x.shape[axis]
    parts.append(stream.finish())
    y = np.concatenate(parts, axis)
    expected = np.apply_along_axis(full, axis, x.astype("D"), taps.astype("D"))
    floating = x.dtype if x.dtype.kind in "fc" else np.dtype(float)
    assert y.dtype == np.result_type(floating, taps.dtype)
    tolerance = 2e-5 if y.dtype.char in "fF" else 1e-12
    np.testing.assert_allclose(y, expected, 0, tolerance * max(1, np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("chars", ["ff", "dd", "fd", "df", "dD", "FF", "Df", "di", "fh"])
@pytest.mark.parametrize("k", [1, 3, 100, 3000])
def test_any_blocks(chars, k, rng):
    blocks = [64, 64, 64, 1, 0, 7, 7, 500, 64, 64] if k < 3000 else [64] * 50 + [7] * 30 + [500] + [64] * 3
    check(numbers(rng, k, chars[0]), numbers(rng, sum(blocks), chars[1]), blocks)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_channels(axis, rng):
    shape = [2, 3, 4]
    shape[axis] = 40
    check(rng.standard_normal(9), rng.standard_normal(shape), [8, 8, 24], axis)


@given(st.integers(1, 60), st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(0, 99))
def test_every_cut(k, blocks, seed):
    rng = np.random.default_rng(seed)
    check(rng.standard_normal(k), rng.standard_normal((2, sum(blocks))), blocks)


@pytest.mark.parametrize("k", [31, 4000])
def test_nan_leaves_with_its_window(k, rng):
    x, stream = rng.standard_normal((1, 9600)), signal.Stream(rng.standard_normal(k))
    clean = np.concatenate([stream(block) for block in np.split(x, 100, 1)], 1)
    stream.reset()
    x[0, 1000] = np.nan
    y = np.concatenate([stream(block) for block in np.split(x, 100, 1)], 1)
    assert np.array_equal(np.flatnonzero(np.isnan(y)), np.arange(1000, 1000 + k))
    right = ~np.isnan(y)
    np.testing.assert_allclose(y[right], clean[right], atol=1e-11 * np.abs(clean).max())


def test_a_block_is_not_kept_nor_changed(rng):
    stream, block = signal.Stream(rng.standard_normal(5)), rng.standard_normal(8)
    before = block.copy()
    stream(block)
    assert np.array_equal(block, before)
    block[:] = 0
    np.testing.assert_allclose(stream(np.zeros(4)), np.convolve(before, stream.taps)[8:], atol=1e-12)


def test_reset_and_finish_forget(rng):
    stream, block = signal.Stream(rng.standard_normal(5)), rng.standard_normal(8)
    first = stream(block)
    stream.reset()
    assert np.array_equal(stream(block), first)
    stream.finish()
    assert np.array_equal(stream(block), first)
    assert np.array_equal(signal.Stream([1.0, 2.0, 3.0]).finish(), [0.0, 0.0])


def test_what_is_refused(rng):
    for taps in ([], [[1.0]], "abc", None, 3.0, [object()]):
        with pytest.raises(InvalidArgument, match="taps"):
            signal.Stream(taps)
    with pytest.raises(InvalidArgument, match="axis"):
        signal.Stream([1.0], axis=0.5)
    stream = signal.Stream([1.0, 2.0])
    for block in ("abc", 3.0, None):
        with pytest.raises(InvalidArgument, match="block"):
            stream(block)
    stream(np.ones((2, 5), "f4"))
    for block in (np.ones((3, 5), "f4"), np.ones(5, "f4"), np.ones((2, 5))):
        with pytest.raises(InvalidArgument, match="reset"):
            stream(block)
    with pytest.raises(InvalidArgument, match="double precision"):
        signal.Stream(np.ones(3, np.longdouble))(np.ones(3))
