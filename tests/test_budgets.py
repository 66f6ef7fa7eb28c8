"""Every way to cut a problem: the case table again under budgets so small that every block and batch is cut.

With the real budgets a case of the table is one block. The budgets are read once, so each run is a process of its own.
"""

import pytest
from child import run_cases

from fastconv.dispatch import rows

BUDGETS = {
    "tiny": {"TILE_BYTES": 1, "SCRATCH_BYTES": 1, "SERIAL_FLOPS": 1, "NUM_THREADS": 1},
    "small": {"TILE_BYTES": 3000, "SCRATCH_BYTES": 9000, "SERIAL_FLOPS": 1, "NUM_THREADS": 2},
    "huge": {"TILE_BYTES": 2**30, "SCRATCH_BYTES": 2**40, "SERIAL_FLOPS": 2**60, "NUM_THREADS": 1},
}


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["every seventh", "all"])
def test_cases(step, budget):
    variables = {f"FASTCONV_{name}": str(value) for name, value in BUDGETS[budget].items()}
    run_cases(variables, step, [row.method for row in rows("conv")])
