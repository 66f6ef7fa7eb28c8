"""The benchmark suites: which problems `fastconv bench --suite NAME` and bench/ measure."""

from __future__ import annotations

from ..errors import InvalidArgument
from .problems import Problem, conv, pool, shrink


def _layers() -> list[Problem]:
    """The nine convolution layers that the speed target is stated over."""
    return [
        conv("conv", 64, 32, 32, 28, 3, padding="same"),
        conv("conv", 64, 64, 64, 14, 3, padding="same"),
        conv("conv", 1, 64, 64, 112, 3, padding="same"),
        conv("conv", 8, 64, 64, 56, 3, padding="same"),
        conv("conv", 8, 128, 128, 28, 3, padding="same"),
        conv("conv", 8, 512, 512, 7, 3, padding="same"),
        conv("conv", 8, 256, 64, 56, 1),
        conv("conv", 8, 3, 64, 224, 7, stride=2, padding=3),
        conv("conv", 8, 3, 96, 227, 11, stride=4),
    ]


def _backward() -> list[Problem]:
    """Input and weight gradients of layers as a training step meets them (the first layer needs no input gradient)."""
    problems = []
    for op in ("input_grad", "weight_grad"):
        problems += [
            conv(op, 64, 32, 32, 28, 3, padding="same"),
            conv(op, 64, 64, 64, 14, 3, padding="same"),
            conv(op, 8, 64, 64, 56, 3, padding="same"),
            conv(op, 8, 128, 128, 28, 3, padding="same"),
            conv(op, 8, 512, 512, 7, 3, padding="same"),
            conv(op, 8, 256, 64, 56, 1),
            conv(op, 8, 64, 128, 56, 3, stride=2, padding=1),
        ]
    return [*problems, conv("weight_grad", 8, 3, 64, 224, 7, stride=2, padding=3)]


def _filters() -> list[Problem]:
    """Filtering one image of one channel."""
    return [
        conv("conv", 1, 1, 1, size, k, padding="same", layout="NCHW")
        for size in (512, 2048)
        for k in (3, 5, 7, 9, 15, 31, 63)
    ]


def _signal() -> list[Problem]:
    """Long filters over a million samples."""
    return [
        conv("conv", 1, 1, 1, (1_000_000,), (k,), padding="same", layout="NCW") for k in (101, 1_001, 10_001, 100_001)
    ]


def _pool() -> list[Problem]:
    """Pooling in both layouts."""
    return [
        pool(op, *shape, k, stride=2, padding=(k - 1) // 2, layout=layout)
        for layout in ("NHWC", "NCHW")
        for op in ("max_pool", "avg_pool")
        for k in (2, 3)
        for shape in ((64, 32, 28), (8, 64, 112))
    ]


def _quick() -> list[Problem]:
    """One of each kind, small."""
    return [
        conv("conv", 16, 32, 32, 28, 3, padding="same"),
        conv("conv", 2, 64, 64, 56, 3, padding="same"),
        conv("conv", 2, 3, 64, 112, 7, stride=2, padding=3),
        conv("input_grad", 16, 32, 32, 28, 3, padding="same"),
        conv("weight_grad", 16, 32, 32, 28, 3, padding="same"),
        conv("conv", 1, 1, 1, 512, 7, padding="same", layout="NCHW"),
        conv("conv", 1, 1, 1, 512, 31, padding="same", layout="NCHW"),
        conv("conv", 1, 1, 1, (100_000,), (1_001,), padding="same", layout="NCW"),
        pool("max_pool", 16, 32, 28, 2, stride=2),
        pool("avg_pool", 16, 32, 28, 2, stride=2),
    ]


_SUITES = {
    "layers": _layers,
    "backward": _backward,
    "filters": _filters,
    "signal": _signal,
    "pool": _pool,
    "quick": _quick,
}
SUITES = (*_SUITES, "all")


def suite(name: str, *, tiny: bool = False) -> list[Problem]:
    """The problems of a suite; "all" is every suite but quick, `tiny` shrinks each problem for a test.

    Examples
    --------
    >>> [problem.label for problem in suite("layers")][:2]
    ['64×[32→32@28 3×3]', '64×[64→64@14 3×3]']
    """
    if name not in SUITES:
        raise InvalidArgument(f"suite is {name!r}; expected one of {', '.join(SUITES)}")
    if name == "all":
        problems = [p for key, make in _SUITES.items() if key != "quick" for p in make()]
    else:
        problems = _SUITES[name]()
    return list(dict.fromkeys(shrink(p) for p in problems)) if tiny else problems
