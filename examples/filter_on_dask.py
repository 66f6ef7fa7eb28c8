"""Filter a Dask array on a cluster of two workers, one of which is killed in the middle:

    python examples/filter_on_dask.py

The result is that of the whole array in memory. It needs ``pip install 'fastconv[dask]' distributed``.
"""

import os
import signal
import time

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

import fastconv as fc
import fastconv.dask


def slowly(block):
    """A filter that takes its time, so that there is a middle."""
    time.sleep(0.02)
    return fc.conv2d(block, W, padding=4)


W = np.random.default_rng(1).random((1, 1, 9, 9))

if __name__ == "__main__":
    image = np.random.default_rng(0).random((1, 1, 200, 160))
    x = da.from_array(image, chunks=(1, 1, (3, 47, 50, 100), 25))  # any chunks, smaller than the filter too
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        y = fastconv.dask.conv2d(x, W, padding=4, padding_mode="reflect")
        pooled = fastconv.dask.max_pool2d(y, 3, stride=2)
        expected = fc.max_pool2d(fc.conv2d(image, W, padding=4, padding_mode="reflect"), 3, stride=2)
        np.testing.assert_allclose(pooled.compute(), expected, rtol=1e-10)
        print("a filter and a pool on two workers: as in memory")

        future = client.compute(fastconv.dask.blockwise(slowly, x, depth=(0, 0, 4, 4), borders="zeros"))
        time.sleep(0.3)
        if hasattr(signal, "SIGKILL"):
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        np.testing.assert_allclose(future.result(timeout=120), fc.conv2d(image, W, padding=4), rtol=1e-10)
        print("with a worker lost in the middle: as in memory")
