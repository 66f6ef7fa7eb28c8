"""SciPy's own tests of functions that fastconv has too, with fastconv's in their place.

SciPy's wheels bring its tests. A module of them is read once more under its own name, and what it knows by the names of
the functions is replaced in that copy alone.
"""

import sys
import types
from importlib.util import find_spec, module_from_spec

import pytest


def borrowed(name, area, functions):
    """A copy of SciPy's module of tests that calls `functions`, also by way of its ``signal.`` or the like (`area`)."""
    try:
        spec = find_spec(name)
    except ImportError:
        spec = None
    if spec is None:
        pytest.skip(f"this SciPy comes without {name}", allow_module_level=True)
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    vars(module).update({key: function for key, function in functions.items() if hasattr(module, key)})
    if hasattr(module, area):
        setattr(module, area, _stand_in(getattr(module, area), functions))
    return module


def _stand_in(package, functions):
    """A package whose functions are replaced."""
    proxy = types.ModuleType(package.__name__)
    proxy.__getattr__ = lambda name: getattr(package, name)
    vars(proxy).update(functions)
    return proxy
