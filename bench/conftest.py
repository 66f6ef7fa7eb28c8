"""pytest-benchmark over fastconv.measure's problems: ``pytest bench --benchmark-enable [--benchmark-json F]``.

With timing disabled, as in a plain ``pytest`` run, every problem shrinks to a test's size and runs once. A result is
checked against float64 values computed from the definition before anything is timed.
"""

import numpy as np
import pytest

from fastconv import measure
from fastconv.threads import get_num_threads


def pytest_benchmark_update_machine_info(config, machine_info):
    """Put what a reader needs to judge a figure into the JSON file."""
    machine_info["fastconv"] = measure.environment()


@pytest.fixture
def contest(benchmark):
    """Check and time one contender, ``fastconv METHOD`` or ``RIVAL VARIANT``, on one problem."""

    def run(problem, contender):
        if benchmark.disabled:
            problem = measure.shrink(problem)
        arrays = measure.make_arrays(problem)
        who, variant = contender.split(" ", 1)
        if who == "fastconv":
            if variant == "plan" and problem.op != "conv":
                pytest.skip("plans are for convolutions, not for their gradients")
            method, prepared = ("auto", True) if variant == "plan" else (variant, False)
            call, to_numpy = measure.our_call(problem, arrays, method, prepared=prepared), np.asarray
        else:
            call, to_numpy = rival_call(who, variant, problem, arrays)
        benchmark.group = f"{problem} {problem.layout}"
        benchmark.extra_info.update(flops=problem.flops, bytes=problem.bytes, threads=get_num_threads())
        expected = measure.expect(problem, arrays)
        assert expected.error(to_numpy(call())) <= expected.tolerance
        benchmark(call)

    return run


def rival_call(who, variant, problem, arrays):
    """The rival's call and how to read its result; skips the test where there is none."""
    rival = measure.RIVALS[who]
    if not rival.installed():
        pytest.skip(f"{who} is not installed ({rival.install})")
    candidates = rival.candidates(problem, arrays, get_num_threads())
    if isinstance(candidates, str):
        pytest.skip(f"{who}: {candidates}")
    for candidate in candidates:
        if candidate.label == variant:
            return candidate.call, candidate.to_numpy
    pytest.skip(f"{who} has no {variant} for this problem")
