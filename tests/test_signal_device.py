"""fastconv.signal of CUDA arrays, in the simulator."""

import numpy as np
import pytest
import scipy.signal
from cuda_small import simulator  # noqa: F401 - a fixture

from fastconv import signal, to_device
from fastconv.cuda.array import Array
from fastconv.errors import InvalidArgument, Unsupported

pytestmark = pytest.mark.usefixtures("simulator")


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve", "oaconvolve"])
def test_arrays_come_back_as_they_went(name, mode, rng):
    for sizes, others in (((9,), (4,)), ((3,), (6,)), ((4, 5), (2, 1)), ((2, 3, 4), (1, 2, 3))):
        x, w = rng.integers(-4, 5, sizes).astype("f4"), rng.integers(-4, 5, others).astype("f4")
        y = getattr(signal, name)(to_device(x), to_device(w), mode)
        expected = getattr(scipy.signal, name)(x, w, mode)
        assert isinstance(y, Array) and y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
def test_borders(name, boundary, rng):
    x, w = rng.integers(-4, 5, (4, 5)).astype("f8"), rng.integers(-4, 5, (2, 3)).astype("f8")
    for mode in ("full", "same", "valid"):
        y = getattr(signal, name)(to_device(x), to_device(w), mode, boundary)
        assert np.array_equal(y.numpy(), getattr(scipy.signal, name)(x, w, mode, boundary))


def test_what_is_refused():
    x, w = to_device(np.ones((4, 5))), to_device(np.ones((2, 9)))
    with pytest.raises(InvalidArgument, match="mixed: in2"):
        signal.convolve(x, np.ones((2, 2)))
    with pytest.raises(InvalidArgument, match="mixed: in1"):
        signal.convolve2d(np.ones((2, 2)), x)
    with pytest.raises(InvalidArgument, match="must hold the other"):
        signal.convolve(x, w, "valid")
    with pytest.raises(InvalidArgument, match="as many axes"):
        signal.convolve(x, to_device(np.ones(3)))
    with pytest.raises(InvalidArgument, match="mode"):
        signal.convolve(x, w, "some")
    with pytest.raises(Unsupported, match="axes"):
        signal.fftconvolve(x, w, axes=0)
    with pytest.raises(Unsupported, match="fill takes 0"):
        signal.convolve2d(x, w, fillvalue=1)
    with pytest.raises(Unsupported, match="int64"):
        signal.convolve(to_device(np.ones(3, int)), to_device(np.ones(3)))
    with pytest.raises(Unsupported, match="4 axes"):
        signal.convolve(to_device(np.ones((1, 2, 3, 1))), to_device(np.ones((1, 1, 1, 2))))
