"""SciPy's own tests, which its wheels ship, with our functions in the place of SciPy's.

A module of them is executed anew while the functions stand in SciPy's namespace, so that those are replaced, too, which
are parameters of tests. What we do not have stays SciPy's. What SciPy's tests expect of other array libraries, told by
markers of its own (`conftest`), is left out.
"""

import importlib.util
import math
import types

import numpy as np
import pytest
from scipy._lib import _array_api


def load(name, theirs, ours):
    """SciPy's tests of this name, of the functions in ``ours.__all__`` and else of the module `theirs`."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        pytest.skip(f"this SciPy comes without {name}", allow_module_level=True)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_array_api, "make_xp_pytest_marks", lambda *functions, **options: [])
        for function in filter(theirs.__dict__.__contains__, ours.__all__):
            patch.setattr(theirs, function, getattr(ours, function))
        spec.loader.exec_module(module)
        replaced = types.SimpleNamespace(**vars(theirs))
    setattr(module, theirs.__name__.rpartition(".")[2], replaced)
    return module


MANY = 24  # cases of one test function from which it is a slow one


def taken_from(module):
    """The test functions and classes of a module, by name; those of many cases are slow ones."""
    found = {name: value for name, value in vars(module).items() if name.lower().startswith("test")}
    for value in found.values():
        for function in (value, *vars(value).values()) if isinstance(value, type) else (value,):
            if hasattr(function, "pytestmark"):
                marks = [_listed(mark) for mark in function.pytestmark]
                cases = math.prod(len(mark.args[1]) for mark in marks if mark.name == "parametrize")
                function.pytestmark = [*marks, pytest.mark.slow.mark] if cases > MANY else marks
    return found


def _listed(mark):
    """Parameters as a list: pytest warns of iterators."""
    if mark.name != "parametrize":
        return mark
    names, values, *rest = mark.args
    return pytest.mark.parametrize(names, list(values), *rest, **mark.kwargs).mark


@pytest.fixture
def xp():
    """The array library of SciPy's tests: NumPy."""
    return np


@pytest.fixture
def num_parallel_threads():
    """How many threads run one test."""
    return 1
