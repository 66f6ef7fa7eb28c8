"""What the scipy suite measures of `fastconv.ndimage`."""

from __future__ import annotations

from collections.abc import Iterator

from .call import Call

SIZES = (32, 512, 2_048)


def calls(dtype: str) -> Iterator[Call]:
    """Each filter on images small and large."""
    for n in SIZES:
        image = ((n, n),)
        for k in (3, 5, 9):
            yield Call("ndimage.correlate", ((n, n), (k, k)))
        yield Call("ndimage.convolve", ((n, n), (3, 3)), {"mode": "constant"})
        yield Call("ndimage.correlate1d", ((n, n), (9,)), {"axis": 0})
        yield from (Call("ndimage.gaussian_filter", image, {"sigma": sigma}) for sigma in (1, 3, 10))
        yield from (Call("ndimage.uniform_filter", image, {"size": k}) for k in (3, 9))
        yield from (Call(f"ndimage.{name}", image) for name in ("sobel", "prewitt", "laplace"))
        yield Call("ndimage.gaussian_laplace", image, {"sigma": 1})
        yield Call("ndimage.gaussian_gradient_magnitude", image, {"sigma": 1})
        yield from (Call("ndimage.maximum_filter", image, {"size": k}) for k in (3, 9))
        yield from (Call("ndimage.median_filter", image, {"size": k}) for k in (3, 5, 9))
        yield Call("ndimage.percentile_filter", image, {"percentile": 20, "size": 5})
        yield Call("ndimage.grey_dilation", image, {"size": 5})
    yield Call("ndimage.gaussian_filter", ((1_000_000,),), {"sigma": 5})
    yield Call("ndimage.gaussian_filter", ((512, 512, 3),), {"sigma": (2, 2, 0)})
    yield Call("ndimage.gaussian_filter", ((96, 96, 96),), {"sigma": 1})
    yield Call("ndimage.correlate", ((96, 96, 96), (3, 3, 3)))
    yield Call("ndimage.median_filter", ((96, 96, 96),), {"size": 3})
