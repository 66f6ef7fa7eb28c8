"""Every way to cut a problem: the case table again under budgets so small that every block and batch is cut.

With the real budgets a case of the table is one block. The budgets are read once, so each run is a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])

import numpy as np
from cases import CASES
from problems import OPS, problem
from tolerances import EXACT, assert_close

from fastconv.errors import Unsupported

for case in CASES[::int(sys.argv[2])]:
    whole, data = problem(case, whole=True), problem(case)
    for op in OPS:
        for last in (False, True):
            for method in sys.argv[3:]:
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

BUDGETS = {
    "tiny": {"TILE_BYTES": 1, "SCRATCH_BYTES": 1, "SERIAL_FLOPS": 1, "NUM_THREADS": 1},
    "small": {"TILE_BYTES": 3000, "SCRATCH_BYTES": 9000, "SERIAL_FLOPS": 1, "NUM_THREADS": 2},
    "huge": {"TILE_BYTES": 2**30, "SCRATCH_BYTES": 2**40, "SERIAL_FLOPS": 2**60, "NUM_THREADS": 1},
}


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["every seventh", "all"])
def test_cases(step, budget):
    here = Path(__file__).parent
    variables = {f"FASTCONV_{name}": str(value) for name, value in BUDGETS[budget].items()}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(here), str(step), "direct", "im2col", "fft", "winograd"],
        env={**os.environ, **variables, "PYTHONPATH": str(here.parent)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
