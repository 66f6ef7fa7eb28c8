"""scikit-image's and astropy's own tests of their filters pass inside `as_scipy` as they pass without.

Slow. By scikit-image 0.25.2 (whose wheel brings its tests; 0.26's does not) and astropy 8.0.2:
``pip install scikit-image==0.25.2 astropy pytest-astropy-header pytest-doctestplus``.
"""

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

PLUGIN = """
import fastconv

block = fastconv.as_scipy()


def pytest_configure(config):
    block.__enter__()


def pytest_unconfigure(config):
    block.__exit__(None, None, None)
"""
AREAS = {
    "skimage.filters.tests": "skimage",
    "skimage.feature.tests": "skimage",
    "skimage.metrics.tests": "skimage",
    "astropy.convolution.tests": "astropy",
}


def outcomes(area, folder, *plugins):
    """Of each test, by its name, whether it passed."""
    report = folder / "report.xml"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", "--import-mode=importlib", *plugins]
    words += ["--junit-xml", str(report), "--pyargs", area]
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    subprocess.run([sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    cases = ET.parse(report).getroot().iter("testcase")
    return {f"{c.get('classname')}.{c.get('name')}": {e.tag for e in c} & {"failure", "error"} for c in cases}


@pytest.mark.slow
@pytest.mark.parametrize("area", AREAS)
def test_their_own_tests(area, tmp_path):
    pytest.importorskip(AREAS[area])
    if importlib.util.find_spec(area) is None:
        pytest.skip(f"this {AREAS[area]} comes without its tests")
    Path(tmp_path / "inside_as_scipy.py").write_text(PLUGIN)
    without = outcomes(area, tmp_path)
    inside = outcomes(area, tmp_path, "-p", "inside_as_scipy")
    passed = [name for name, faults in without.items() if not faults]
    assert len(passed) > 50 and without.keys() == inside.keys()
    assert not [name for name in passed if inside[name]]
