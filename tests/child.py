"""The case table in a process of its own: what is read once at import, budgets and instruction sets, needs one."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])

import numpy as np
from cases import CASES
from problems import OPS, problem
from tolerances import EXACT, assert_close

import fastconv as fc
from fastconv.errors import Unsupported

assert fc.info()["machine"]["instruction_set"] == sys.argv[3] or sys.argv[3] == "any", fc.info()["machine"]
for case in CASES[::int(sys.argv[2])]:
    whole, data = problem(case, whole=True), problem(case)
    for op in OPS:
        for last in (False, True):
            for method in sys.argv[4:]:
                try:
                    if method in EXACT:
                        y = whole.solve(op, last, "float32", method=method)
                        np.testing.assert_array_equal(y, whole.expected(op))
                    else:
                        y = data.solve(op, last, "float32", method=method)
                        assert_close(y, data.expected(op), method, data.terms(op))
                except Unsupported:
                    pass
                except Exception as error:
                    error.add_note(f"{case.name}: {op} {method} {'last' if last else 'first'}")
                    raise
"""


def run_cases(variables, step, methods, instruction_set="any"):
    """Every `step`-th case by all operations and layouts, under some environment variables; fails with what it says."""
    run_script(variables, SCRIPT, str(step), instruction_set, *methods)


def run_script(variables, script, *words):
    """Run a script, with this folder as its first argument, under some environment variables."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", script, str(here), *words],
        env={**os.environ, **variables, "PYTHONPATH": str(here.parent)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def has_layer(layer):
    """Whether Numba has this threading layer here."""
    pool = {"default": "workqueue", "workqueue": "workqueue", "omp": "omppool", "tbb": "tbbpool"}[layer]
    code = f"import importlib; importlib.import_module('numba.np.ufunc.{pool}')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
