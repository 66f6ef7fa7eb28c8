"""What every test shares: a seeded hypothesis profile, seeded numbers, threads that do not spin.

Compiled kernels are kept in the user's cache folder, or in `FASTCONV_CACHE_DIR` where that is set. Long tests carry the
marker ``slow``.
"""

import os
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Tests share the smallest problems among threads, thousands of times: on a busy machine a team that spins while waiting
# takes ten times as long. OpenMP reads this once, before the first kernel; tests' child processes inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

settings.register_profile(
    "fastconv",
    derandomize=True,
    deadline=None,  # a first call compiles
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("long", parent=settings.get_profile("fastconv"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fastconv"))


@pytest.fixture
def rng(request):
    """Random numbers that depend on the test's name alone, so tests may run in any order."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
