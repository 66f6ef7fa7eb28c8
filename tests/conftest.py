"""What every test shares: a seeded hypothesis profile, seeded numbers.

Compiled kernels are kept in the user's cache folder, or in `FASTCONV_CACHE_DIR` where that is set. Long tests carry the
marker ``slow``.
"""

import gc
import os
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fastconv",
    derandomize=True,
    deadline=None,  # a first call compiles
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("long", parent=settings.get_profile("fastconv"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fastconv"))


def pytest_configure(config):
    for marker in ("skip_xp_backends", "xfail_xp_backends", "xfail_on_32bit", "fail_asan", "fail_slow"):
        config.addinivalue_line("markers", f"{marker}: of SciPy's own tests (scipys_tests.py); means nothing here")


def pytest_collection_finish(session):
    """Take the tests themselves, some 30,000, out of what the garbage collector walks through every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng(request):
    """Random numbers that depend on the test's name alone, so tests may run in any order."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
