"""`as_scipy`: what it replaces, and that all is as before at its end."""

import subprocess
import sys
import threading
import types
from importlib import import_module

import numpy as np
import pytest
import scipy.signal

import fastconv as fc
from fastconv.replacing import AREAS, as_scipy

convolve2d = scipy.signal.convolve2d  # as another library takes it
PAIRS = [(import_module(a), import_module(b)) for a, b in AREAS.items()]
NAMES = [(theirs, ours, name) for theirs, ours in PAIRS for name in ours.__all__ if hasattr(theirs, name)]


def is_ours(function):
    return function.__module__.startswith("fastconv.")


def test_what_is_replaced_and_brought_back():
    before = [getattr(theirs, name) for theirs, _, name in NAMES]
    assert len(before) > 10 and not any(map(is_ours, before))
    with fc.as_scipy():
        for theirs, ours, name in NAMES:
            found = getattr(theirs, name)
            assert is_ours(found) and found.__name__ == name and found.__doc__ == getattr(ours, name).__doc__
        assert is_ours(convolve2d)
        y = convolve2d(np.ones((3, 3)), np.ones((2, 2)), mode="valid", fillvalue=0)
    assert np.array_equal(y, np.full((2, 2), 4.0))
    assert [getattr(theirs, name) for theirs, _, name in NAMES] == before
    assert not is_ours(convolve2d)


def test_an_exception_and_nested_blocks():
    with pytest.raises(ZeroDivisionError), as_scipy():
        with as_scipy():
            assert is_ours(scipy.signal.convolve)
        assert is_ours(scipy.signal.convolve)
        raise ZeroDivisionError
    assert not is_ours(scipy.signal.convolve)


def test_a_decorated_function():
    @as_scipy()
    def inside(again):
        assert is_ours(scipy.signal.convolve)
        return again and inside(False)

    inside(True)
    assert not is_ours(scipy.signal.convolve)


def test_a_block_that_was_not_entered():
    with pytest.raises(RuntimeError, match="not entered"):
        as_scipy().__exit__(None, None, None)


def test_threads_share_the_block():
    """SciPy is replaced until the last of overlapping blocks is left."""
    entered, leave = threading.Event(), threading.Event()

    def other():
        with as_scipy():
            entered.set()
            leave.wait(30)

    with as_scipy():
        thread = threading.Thread(target=other)
        thread.start()
        assert entered.wait(30)
    assert is_ours(scipy.signal.convolve)
    leave.set()
    thread.join()
    assert not is_ours(scipy.signal.convolve)


def test_modules_that_take_a_name_inside(monkeypatch):
    late = types.ModuleType("late")
    monkeypatch.setitem(sys.modules, "late", late)
    with as_scipy():
        exec("from scipy.signal import fftconvolve as taken", vars(late))
        assert is_ours(late.taken)
    assert late.taken is scipy.signal.fftconvolve and not is_ours(late.taken)


def test_a_module_that_took_fastconvs_keeps_it(monkeypatch):
    user = types.ModuleType("user")
    monkeypatch.setitem(sys.modules, "user", user)
    user.mine = fc.signal.convolve
    with as_scipy():
        assert user.mine is fc.signal.convolve
    assert user.mine is fc.signal.convolve


def test_what_scipy_does_within_itself_is_its_own():
    from scipy.signal import _signaltools

    with as_scipy():
        assert not is_ours(_signaltools.convolve)
        x = np.array([1, 2, 3], object)  # no kernel serves it: it goes to SciPy's own, and not round in circles
        assert scipy.signal.convolve(x, x).tolist() == [1, 4, 10, 12, 9]
        with pytest.raises(ValueError, match="method"):
            scipy.signal.convolve([1.0], [1.0], method="some")


def test_a_first_block_loads_what_it_replaces():
    code = (
        "import fastconv as fc, sys\n"
        "assert 'scipy.signal' not in sys.modules\n"
        "with fc.as_scipy():\n"
        "    import scipy.signal\n"
        "    print(scipy.signal.convolve.__module__)\n"
        "print(scipy.signal.convolve.__module__)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["fastconv.signal.convolution", "scipy.signal._signaltools"]
