"""Bugs planted in kernels: a module with a piece of its source replaced, and how the bug is to be noticed."""

import importlib.util
import inspect

import numpy as np
import pytest
from cudasim import SimulationError


def mutated(module, old, new, folder):
    """`module` with a piece of its source replaced."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {module.__name__}"
    path = folder / f"{module.__name__.rpartition('.')[2]}.py"
    path.write_text(source.replace(old, new), encoding="utf-8")
    name = f"{module.__name__}.mutant" if hasattr(module, "__path__") else f"{module.__name__}_mutant"
    spec = importlib.util.spec_from_file_location(name, path)  # imports are relative to the package it stands in
    mutant = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mutant)
    return mutant


def assert_noticed(run, tolerance=1e-6):
    try:
        pairs = run()
    except SimulationError:
        return
    with pytest.raises(AssertionError):
        for actual, expected in pairs:
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
