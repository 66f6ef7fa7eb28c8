"""SciPy's own tests of the functions that `fastconv.signal` has, with ours in the place of SciPy's."""

import numpy as np
import pytest
from scipy_classes import borrowed

from fastconv import signal

OURS = {name: getattr(signal, name) for name in signal.__all__}
TESTS = "scipy.signal.tests."
TOOLS, SAVGOL, SPLINES = (
    borrowed(TESTS + name, "signal", OURS)
    for name in ("test_signaltools", "test_savitzky_golay", "test_bsplines")
)  # fmt: skip
NAMES = (
    "TestConvolve",
    "TestConvolve2d",
    "TestFFTConvolve",
    "TestOAConvolve",
    "TestAllFreqConvolves",
    "TestMedFilt",
    "TestWiener",
    "TestCorrelateReal",
    "TestCorrelate",
    "TestCorrelateComplex",
    "TestCorrelate2d",
    "test_convolve_longdtype_input",
    "test_correlation_lags",
    "test_correlation_lags_invalid_mode",
    "test_choose_conv_method",
    "test_choose_conv_method_2",
)
globals().update({name: getattr(TOOLS, name) for name in NAMES})
globals().update({name: test for name, test in vars(SAVGOL).items() if name.startswith("test_")})
TestSepfir2d = SPLINES.TestSepfir2d

pytestmark = pytest.mark.filterwarnings("default")  # SciPy's tests have filters of their own


@pytest.fixture
def xp():
    """SciPy's fixture, for arrays of NumPy."""
    from scipy._lib._array_api import np_compat

    return np_compat


def test_it_is_ours_that_is_tested():
    for name, function in OURS.items():
        for module in (TOOLS, SAVGOL, SPLINES):
            assert getattr(module, name, function) is function
        assert name == "Stream" or getattr(TOOLS.signal, name) is function
    assert TOOLS.convolve is signal.convolve and SAVGOL.savgol_filter is signal.savgol_filter
    assert TOOLS.signal.medfilt.__module__.startswith("scipy.")  # what we have not stays SciPy's


def test_a_wrong_function_is_noticed(monkeypatch):
    """The borrowed tests look at what they call by name."""
    monkeypatch.setattr(TOOLS, "convolve", lambda *args, **options: signal.convolve(*args, **options) + 1)
    with pytest.raises(AssertionError):
        TOOLS.TestConvolve().test_basic(np)
