"""The programs in examples/ run as they are, and reach what the guide says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "guide" / "cnn-by-hand.md").read_text(encoding="utf-8")
PROGRAM = (ROOT / "examples" / "cnn_by_hand.py").read_text(encoding="utf-8")


def test_a_network_by_hand():
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "cnn_by_hand.py")],
        capture_output=True, text=True, check=False, timeout=280, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accuracies = [float(a) for a in re.findall(r"test accuracy ([\d.]+)", done.stdout)]
    stated = float(re.search(r"test accuracy ([\d.]+) after five epochs", PAGE)[1])
    assert len(accuracies) == 5
    assert abs(accuracies[-1] - stated) < 0.02, "training is the same everywhere but for the last bits of its kernels"
    assert "<Graph of 10 operations, 6 leaves and 1 constants" in done.stdout


@pytest.mark.parametrize("listing", re.findall(r"```python\n(.*?)```", PAGE, re.S))
def test_listings_of_the_page_are_the_programs(listing):
    assert listing in PROGRAM
