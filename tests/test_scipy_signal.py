"""SciPy's own tests of the functions that `fastconv.signal` has, with ours in the place of SciPy's."""

import pytest
from scipy import signal as theirs
from scipys_tests import load, num_parallel_threads, taken_from, xp  # noqa: F401 - fixtures

from fastconv import signal

TOOLS, SAVGOL, SPLINES = (
    load(f"scipy.signal.tests.{name}", theirs, signal)
    for name in ("test_signaltools", "test_savitzky_golay", "test_bsplines")
)
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
found = taken_from(TOOLS)
globals().update({name: found[name] for name in NAMES})
globals().update(taken_from(SAVGOL))
TestSepfir2d = taken_from(SPLINES)["TestSepfir2d"]

pytestmark = pytest.mark.filterwarnings("default")  # SciPy's tests have filters of their own


def test_it_is_ours_that_is_tested(monkeypatch):
    assert TOOLS.convolve is signal.convolve and SAVGOL.savgol_filter is signal.savgol_filter
    assert TOOLS.signal.medfilt2d is SPLINES.signal.medfilt2d is signal.medfilt2d
    assert TOOLS.signal.medfilt.__module__.startswith("scipy.")  # what we have not stays SciPy's
    assert not theirs.convolve.__module__.startswith("fastconv.")
    monkeypatch.setattr(TOOLS, "convolve", lambda *args, **options: signal.convolve(*args, **options) + 1)
    with pytest.raises(AssertionError):
        TOOLS.TestConvolve().test_basic(pytest.importorskip("numpy"))
