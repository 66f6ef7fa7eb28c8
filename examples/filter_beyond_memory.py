"""Filter an image that is larger than memory, from one file into another:

    python examples/filter_beyond_memory.py 4

makes a file of 4 GB (default: 0.1), smooths it within a budget of 256 MB, and compares places of the result with what
the filter makes of the parts of the image round them.
"""

import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastconv as fc

GIGABYTES = float(sys.argv[1]) if len(sys.argv) > 1 else 0.1
WIDTH = 8192
ROWS = max(256, int(GIGABYTES * 2**30 / (4 * WIDTH)))


def kilobytes():
    """The most memory that this process has had, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def make(path):
    """An image in a file, made a few rows at a time."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for row in range(0, ROWS, 256):
            rng.random((min(256, ROWS - row), WIDTH), np.float32).tofile(file)


with tempfile.TemporaryDirectory() as folder:
    make(Path(folder, "image"))
    x = np.memmap(Path(folder, "image"), np.float32, "r", shape=(1, 1, ROWS, WIDTH))
    y = np.memmap(Path(folder, "smooth"), np.float32, "w+", shape=x.shape)
    w = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype(np.float32)[None, None] / 256
    options = {"padding": 2, "padding_mode": "reflect"}
    fc.conv2d(x[:, :, :64], w, **options)  # compiled now, so that what is measured is the filter
    before = kilobytes()
    fc.blockwise(fc.conv2d, x, w, **options, out=y, budget="256 MB", progress=sys.stderr.isatty())
    print(f"{x.nbytes / 2**30:.2f} GB filtered with {(kilobytes() - before) / 1024:.0f} MB more memory")

    for row in (0, ROWS // 3, ROWS - 40):  # the edges, and one place inside
        first, last = max(0, row - 2), min(ROWS, row + 42)
        part = fc.conv2d(x[:, :, first:last], w, **options)[:, :, row - first : row - first + 40]
        inner = slice(0 if row == 0 else 2, 40 if last == ROWS else 38)
        np.testing.assert_allclose(y[:, :, row : row + 40][:, :, inner], part[:, :, inner], rtol=1e-5, atol=1e-6)
    print("as filtered in memory")
