"""The functions of one, two and three axes that `ops._ranks` makes of one definition are as good as written by hand."""

import doctest
import inspect
import pickle
import re
import subprocess
import sys

import pytest

import fastconv as fc
from fastconv.ops._ranks import ranked

NAMES = sorted(name for name in fc.__all__ if re.search(r"[123]d", name))


@ranked("toy{}d")
def _toy(rank: int, x, w, b=None, *, stride=1, out: str = "new"):
    """Play with images.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images.
    w : array_like, (KH, KW, C), or (C, KH, KW) with ``layout="NHWC"``
    b : array_like, (O,), optional
    stride, out
        No arrays.

    Returns
    -------
    cols : ndarray, or what x is, (N, C*KH*KW, OH*OW), or (N, OH*OW, C*KH*KW) with ``layout="NHWC"``

    Examples
    --------
    >>> import numpy as np
    >>> fc = sys.modules[toy2d.__module__]
    >>> fc.toy2d(
    ...     5, 6
    ... )
    (2, 5, 6, None, 1, 'new')

    >>> fc.toy1d(5, 6)  # doctest: +SKIP
    (1, 5, 6, None, 1, 'new')

    >>> fc.toy3d(np.ones(1), 6)  # doctest: +SKIP
    (3, array([1.]), 6, None, 1, 'new')
    """
    return rank, x, w, b, stride, out


toy1d, toy2d, toy3d = _toy


@ranked("silent{}d_grad")
def _silent(rank: int, x):
    return rank, x


def test_arguments_arrive():
    for rank, toy in enumerate(_toy, 1):
        assert toy(5, 6) == toy(w=6, x=5) == (rank, 5, 6, None, 1, "new")
        assert toy(5, 6, 7, out="o", stride=2) == (rank, 5, 6, 7, 2, "o")
        with pytest.raises(TypeError, match=rf"^toy{rank}d\(\) missing 1 required positional argument: 'w'"):
            toy(5)
        with pytest.raises(
            TypeError, match=rf"^toy{rank}d\(\) takes from 2 to 3 positional arguments but 4 were given"
        ):
            toy(5, 6, 7, 2)
        with pytest.raises(TypeError, match="unexpected keyword argument 'rank'"):
            toy(5, 6, rank=1)


def test_docstrings():
    one, two, three = (toy.__doc__ for toy in _toy)
    assert (
        one
        == """Play with signals.

x is (N, C, W), w (KW, C) and cols (N, C*KW, OW), or with ``layout="NWC"`` (N, W, C), (C, KW) and (N, OW, C*KW).
Everything else is as for `toy2d`.

Examples
--------
>>> import fastconv as fc
>>> fc.toy1d(5, 6)  # doctest: +SKIP
(1, 5, 6, None, 1, 'new')
"""
    )
    assert two.startswith("Play with images.\n\nParameters\n") and two.endswith("... )\n(2, 5, 6, None, 1, 'new')\n")
    assert "cols (N, C*KD*KH*KW, OD*OH*OW)" in three and ">>> import numpy as np, fastconv as fc\n>>> fc.toy3d" in three
    assert [f.__doc__ for f in _silent] == [None] * 3  # as under python -OO
    assert [f.__name__ for f in _silent] == ["silent1d_grad", "silent2d_grad", "silent3d_grad"]


def test_signatures():
    assert str(inspect.signature(toy1d)) == "(x, w, b=None, *, stride=1, out: str = 'new')"
    assert inspect.signature(fc.conv1d) == inspect.signature(fc.conv3d)
    assert toy3d.__annotations__ == {"out": str}


@pytest.mark.parametrize("name", NAMES)
def test_public_functions_are_plain_ones(name):
    function = getattr(fc, name)
    module = sys.modules[function.__module__]
    assert inspect.isfunction(function)
    assert function.__name__ == function.__qualname__ == function.__code__.co_name == name
    assert getattr(module, name) is function
    assert pickle.loads(pickle.dumps(function)) is function
    assert "@ranked" in inspect.getsource(function)
    assert list(inspect.signature(function).parameters) == list(inspect.signature(function.__wrapped__).parameters)[1:]
    examples = [test for test in doctest.DocTestFinder().find(module) if test.name == f"{module.__name__}.{name}"]
    assert len(examples) == 1 and any(f"fc.{name}(" in e.source for e in examples[0].examples)


@pytest.mark.slow
def test_type_checkers_see_the_signatures(tmp_path):
    """By a ParamSpec: there is no stub that could be out of date."""
    pytest.importorskip("mypy")
    user = tmp_path / "user.py"
    user.write_text(
        "import fastconv as fc\n"
        "reveal_type(fc.max_pool3d)\n"
        "fc.conv1d([1.0], [2.0], strides=2)\n"
        "fc.plan_conv2d([1.0], (1, 1, 4, 4), layout='NHWC').nbytes.real\n"
        "fc.conv2d_input_grad([1.0], [2.0])\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(user)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    assert "def (x: Any, size: Any, *, stride: Any =, padding: Any =" in told
    assert 'user.py:3: error: Unexpected keyword argument "strides"' in told
    assert "user.py:5: error: Too few arguments" in told
    assert "Found 2 errors in 1 file" in told
