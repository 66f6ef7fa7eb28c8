"""fastconv.ndimage of CUDA arrays, in the simulator."""

import numpy as np
import pytest
from cuda_small import simulator  # noqa: F401 - a fixture
from scipy import ndimage as theirs

from fastconv import ndimage, to_device
from fastconv.cuda.array import Array
from fastconv.errors import Unsupported

pytestmark = pytest.mark.usefixtures("simulator")


@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
def test_linear_filters(mode, rng):
    x, w = rng.standard_normal((4, 5)).astype("f4"), rng.standard_normal((2, 3)).astype("f4")
    calls = {"correlate": (w,), "convolve1d": (w[0], 0), "gaussian_filter": (0.5,), "uniform_filter": (3,), "sobel": ()}
    for name, args in calls.items():
        y = getattr(ndimage, name)(to_device(x), *args, mode=mode)
        assert isinstance(y, Array) and y.dtype == np.float32
        np.testing.assert_allclose(y.numpy(), getattr(theirs, name)(x, *args, mode=mode), atol=1e-5)


def test_what_is_refused():
    x = to_device(np.ones((4, 5)))
    for name, args in (("median_filter", (3,)), ("maximum_filter", (3,)), ("laplace", ()), ("gaussian_laplace", (1,))):
        with pytest.raises(Unsupported, match="on cuda"):
            getattr(ndimage, name)(x, *args)
    with pytest.raises(Unsupported, match="takes 0"):
        ndimage.gaussian_filter(x, 1, mode="constant", cval=1.0)
    with pytest.raises(Unsupported, match="output"):
        ndimage.gaussian_filter(x, 1, output=np.zeros((4, 5)))
    with pytest.raises(Unsupported, match="int64"):
        ndimage.sobel(to_device(np.ones((4, 5), int)))
    with pytest.raises(RuntimeError, match="mode not supported"):
        ndimage.correlate(x, np.ones((3, 3)), mode="some")
