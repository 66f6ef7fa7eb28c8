"""fastconv over Dask arrays: any chunks, exact borders, any scheduler, a cluster whose worker is lost."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv.errors import InvalidArgument, MissingExtra

da = pytest.importorskip("dask.array", reason="dask is not installed")
fcd = pytest.importorskip("fastconv.dask")

CHUNKS = [(11, 9), (5, 4), (1, 2), ((1, 8, 2), (3, 5, 1))]
X = np.random.default_rng(0).random((11, 9))
IMAGES = np.random.default_rng(1).random((2, 3, 11, 9))


def check(name, x, chunks, *args, **keywords):
    module, _, function = name.rpartition(".")
    there, here = (getattr(top, module) if module else top for top in (fcd, fc))
    y = getattr(there, function)(da.from_array(x, chunks=chunks), *args, **keywords)
    whole = getattr(here, function)(x, *args, **keywords)
    assert (y.shape, y.dtype) == (whole.shape, whole.dtype)
    np.testing.assert_allclose(y.compute(scheduler="threads"), whole, rtol=1e-9, atol=1e-12)
    return y


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
def test_filters(chunks, mode):
    check("ndimage.gaussian_filter", X, chunks, 2.0, mode=mode, cval=1.0)
    check("ndimage.median_filter", X, chunks, 5, mode=mode)
    check("ndimage.uniform_filter", X, chunks, 41, mode=mode)  # which sees beyond both ends from everywhere
    check("ndimage.maximum_filter", X, chunks, 3, mode=mode)


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_convolutions_and_pools(chunks):
    w = np.random.default_rng(2).random((6, 3))
    for mode in ("full", "same", "valid"):
        check("signal.convolve", X, chunks, w, mode)
    check("image.match_template", X, chunks, w)
    of_images = (1, 2, *chunks) if isinstance(chunks[0], int) else ((1, 1), (2, 1), *chunks)
    w = np.random.default_rng(3).random((4, 3, 5, 5))
    for padding_mode in ("zeros", "reflect", "wrap"):
        y = check("conv2d", IMAGES, of_images, w, padding=7, padding_mode=padding_mode, stride=2)
        assert y.chunks[1] == (4,)
    check("max_pool2d", IMAGES, of_images, 3, padding=1, ceil_mode=True)
    check("avg_pool2d", IMAGES, of_images, (5, 3), stride=4, padding=1, ceil_mode=True)


def test_only_strips_of_neighbours_are_taken():
    y = fcd.blockwise(lambda block: block, da.zeros((40, 40), chunks=10), depth=2)
    strips = [key for key in dict(y.__dask_graph__()) if isinstance(key, tuple) and str(key[0]).endswith("-strip")]
    sizes = [[slice(*map(int, text.split(":"))) for text in key[-2:]] for key in strips]
    assert max(min(s.stop - s.start for s in pair) for pair in sizes) == 2


def test_any_chunks_give_the_same_bits():
    w = np.random.default_rng(3).random((4, 5))
    expected = fc.ndimage.correlate(X, w, mode="mirror")
    for chunks in CHUNKS:
        y = fcd.ndimage.correlate(da.from_array(X, chunks=chunks), w, mode="mirror")
        np.testing.assert_array_equal(y.compute(scheduler="threads"), expected)


@pytest.mark.skipif(bool(os.environ.get("FASTCONV_NUM_THREADS")), reason="the number of threads is set")
def test_one_thread_for_each_of_dask():
    def count(block):
        return np.full_like(block, fc.get_num_threads())

    y = fcd.blockwise(count, da.zeros(6, chunks=2), depth=0)
    np.testing.assert_array_equal(y.compute(scheduler="threads", num_workers=2), 1)
    np.testing.assert_array_equal(y.compute(scheduler="synchronous"), fc.get_num_threads())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fcd.conv2d(IMAGES, np.ones((1, 3, 3, 3))), "x is ndarray.*expected a Dask array"),
        (lambda: fcd.conv2d(da.from_array(IMAGES), np.ones((1, 2, 3, 3))), "input channels"),
        (lambda: fcd.max_pool2d(da.from_array(IMAGES), 2, return_indices=True), "return_indices"),
        (lambda: fcd.blockwise(np.sin, da.zeros(3)), "depth="),
        (lambda: fcd.blockwise(lambda b: b, da.zeros(3)[da.zeros(3) > 0], depth=1), "compute_chunk_sizes"),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(InvalidArgument, match=text):
        call()


def test_without_dask(monkeypatch):
    for name in ("dask.array", "fastconv.dask", "fastconv.dask._graph", "fastconv.dask._over"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "dask.array", None)
    monkeypatch.delattr(fc, "dask", raising=False)
    with pytest.raises(MissingExtra, match=r"fastconv\[dask\]"):
        import fastconv.dask  # noqa: F401


def test_example():
    """On a local cluster, also with a worker killed in the middle."""
    pytest.importorskip("distributed", reason="distributed is not installed")
    example = Path(__file__).parent.parent / "examples" / "filter_on_dask.py"
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("as in memory") == 2
