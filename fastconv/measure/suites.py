"""The benchmark suites: which problems `fastconv bench --suite NAME` and bench/ measure."""

from __future__ import annotations

from dataclasses import replace

from ..spec import parse_flag, parse_word
from .problems import POOLS, Problem, conv, in_dtype, in_layout, pool, shrink


def _squares() -> list[Problem]:
    """3x3 filters of stride 1 as convolutional networks have them: the target of the library's first promise."""
    return [
        conv("conv", 64, 32, 32, 28, 3, padding="same"),
        conv("conv", 64, 32, 64, 14, 3, padding="same"),
        conv("conv", 64, 64, 64, 14, 3, padding="same"),
        conv("conv", 1, 64, 64, 112, 3, padding="same"),
        conv("conv", 8, 64, 64, 56, 3, padding="same"),
        conv("conv", 8, 128, 128, 28, 3, padding="same"),
        conv("conv", 8, 256, 256, 14, 3, padding="same"),
        conv("conv", 8, 512, 512, 7, 3, padding="same"),
    ]


def _layers() -> list[Problem]:
    """Those, and all else that layers do: other filters, strides, dilation, groups, odd sizes, one and three axes."""
    return [*_squares(), *_others(), *_depthwise(), *_large()]


def _others() -> list[Problem]:
    return [
        conv("conv", 8, 256, 64, 56, 1),
        conv("conv", 8, 64, 256, 28, 1),
        conv("conv", 8, 48, 96, 27, 5, padding=2),
        conv("conv", 8, 3, 64, 224, 7, stride=2, padding=3),
        conv("conv", 8, 3, 96, 227, 11, stride=4),
        conv("conv", 8, 64, 128, 56, 3, stride=2, padding=1),
        conv("conv", 8, 64, 64, 28, 3, padding=2, dilation=2),
        conv("conv", 8, 128, 128, 28, 3, padding=1, groups=4),
        conv("input_grad", 8, 64, 128, 56, 4, stride=2, padding=1),  # a transposed convolution
        conv("conv", 16, 64, 64, (1024,), (9,), padding=4),
        conv("conv", 2, 16, 32, (16, 28, 28), (3, 3, 3), padding=1),
        conv("conv", 32, 3, 20, 28, 5),
        conv("conv", 32, 20, 50, 12, 5),
        conv("conv", 16, 24, 48, 33, 3, padding=1),
        conv("conv", 16, 48, 100, 15, 3, padding=1),
        conv("conv", 16, 100, 50, 13, 3, padding=1),
    ]


def _depthwise() -> list[Problem]:
    """Each channel with a filter of its own."""
    return [
        conv("conv", 8, 64, 64, 112, 3, padding=1, groups=64),
        conv("conv", 8, 128, 128, 56, 3, padding=1, groups=128),
        conv("conv", 8, 144, 144, 56, 3, stride=2, padding=1, groups=144),
        conv("conv", 8, 96, 96, 28, 5, padding=2, groups=96),
    ]


def _large() -> list[Problem]:
    """Large filters over many channels."""
    return [conv("conv", 8, 64, 64, 64, k, padding="same") for k in (7, 11, 31)]


def _first() -> list[Problem]:
    """The 3x3 layers with channels first."""
    return [in_layout(problem, "NCHW") for problem in _squares()]


def _double() -> list[Problem]:
    """Layers in float64."""
    return [in_dtype(problem, "float64") for problem in (*_squares(), *_others(), *_depthwise())]


def _backward() -> list[Problem]:
    """Input and weight gradients of layers as a training step meets them (the first layer needs no input gradient)."""
    problems = []
    for op in ("input_grad", "weight_grad"):
        problems += [Problem(op, replace(problem.spec, op=f"conv_{op}")) for problem in _squares()]
        problems += [
            conv(op, 8, 256, 64, 56, 1),
            conv(op, 8, 64, 128, 56, 3, stride=2, padding=1),
            conv(op, 8, 64, 64, 112, 3, padding=1, groups=64),
        ]
    return [*problems, conv("weight_grad", 8, 3, 64, 224, 7, stride=2, padding=3)]


def _filters() -> list[Problem]:
    """Filtering one image of one channel."""
    return [
        conv("conv", 1, 1, 1, size, k, padding="same", layout="NCHW")
        for size in (512, 2048)
        for k in (3, 5, 7, 9, 15, 31, 63, 127)
    ]


def _signal() -> list[Problem]:
    """Long filters over a million samples."""
    return [
        conv("conv", 1, 1, 1, (1_000_000,), (k,), padding="same", layout="NCW") for k in (101, 1_001, 10_001, 100_001)
    ]


def _pool() -> list[Problem]:
    """Pooling and its gradients in both layouts."""
    return [
        pool(op, *shape, k, stride=2, padding=(k - 1) // 2, layout=layout)
        for layout in ("NHWC", "NCHW")
        for op in POOLS
        for k in (2, 3)
        for shape in ((64, 32, 28), (8, 64, 112))
    ]


def _small() -> list[Problem]:
    """Calls whose cost is overhead, not arithmetic: what a library takes before its kernel runs."""
    both = [
        conv("conv", 1, 8, 8, 8, 3, padding=1),
        conv("input_grad", 1, 8, 8, 8, 3, padding=1),
        conv("weight_grad", 1, 8, 8, 8, 3, padding=1),
        conv("conv", 1, 8, 8, 8, 3, padding=1, groups=8),
        pool("max_pool", 1, 8, 16, 2),
        pool("avg_pool", 1, 8, 16, 2),
    ]
    first = [in_layout(problem, "NCHW") for problem in both]
    return [*first, conv("conv", 1, 8, 8, (64,), (3,), padding=1, layout="NCW"), *both]


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


def _halves() -> list[Problem]:
    """Layers in bfloat16: what is multiplied in pairs where the processor can, and what stays float32's."""
    layers = [
        *_squares()[4:8],
        conv("conv", 8, 256, 64, 56, 1),
        conv("conv", 8, 256, 256, 28, 1),
        conv("conv", 8, 64, 128, 56, 3, stride=2, padding=1),
        conv("conv", 8, 3, 64, 224, 7, stride=2, padding=3),
        conv("conv", 8, 128, 128, 28, 3, padding=1, groups=4),
        conv("conv", 16, 64, 64, (1024,), (9,), padding=4),
        conv("conv", 2, 16, 32, (16, 28, 28), (3, 3, 3), padding=1),
        conv("conv", 8, 64, 64, 112, 3, padding=1, groups=64),
        conv("input_grad", 8, 64, 128, 56, 3, stride=2, padding=1),
    ]
    return [in_dtype(problem, "bfloat16") for problem in layers]


_SUITES = {
    "layers": _layers,
    "first": _first,
    "double": _double,
    "backward": _backward,
    "filters": _filters,
    "signal": _signal,
    "pool": _pool,
    "small": _small,
    "bfloat16": _halves,
    "quick": _quick,
}
ASKED_FOR = ("quick", "bfloat16")  # by name only: the one repeats others, the other needs ml_dtypes
SUITES = (*_SUITES, "all")


def suite(name: str, *, tiny: bool = False) -> list[Problem]:
    """The problems of a suite; "all" is every suite but quick and bfloat16, `tiny` shrinks each problem for a test.

    Examples
    --------
    >>> [problem.label for problem in suite("layers")][:2]
    ['64×[32→32@28 3×3]', '64×[32→64@14 3×3]']
    """
    parse_word(name, "suite", SUITES)
    tiny = parse_flag(tiny, "tiny")
    if name == "all":
        problems = [p for key, make in _SUITES.items() if key not in ASKED_FOR for p in make()]
    else:
        problems = _SUITES[name]()
    return list(dict.fromkeys(shrink(p) for p in problems)) if tiny else problems
