"""The problems every method and every pool is tried on, sorted by what they are about; each is tiny.

Shapes are channels-first: x (N, C, *size), w (O, C/groups, *kernel). A new kind of bug deserves a new line here.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import naive


@dataclass(frozen=True)
class Case:
    """One problem: `options` are the arguments of ``fc.conv{rank}d`` as a caller would write them."""

    name: str
    x_shape: tuple
    w_shape: tuple
    options: dict = field(default_factory=dict, hash=False)

    @property
    def rank(self):
        return len(self.x_shape) - 2

    @property
    def size(self):
        return self.x_shape[2:]

    @property
    def kernel(self):
        return self.w_shape[2:]

    @cached_property
    def plain(self):
        """The options as `naive` takes them: an entry per axis, padding as pairs."""
        stride, dilation = (self._axes(self.options.get(name, 1)) for name in ("stride", "dilation"))
        padding = self.options.get("padding", 0)
        if padding == "same":
            pairs = naive.same_padding(self.size, self.kernel, stride, dilation)
        else:
            items = self._axes(0 if padding == "valid" else padding)
            pairs = tuple((p, p) if isinstance(p, int) else tuple(p) for p in items)
        return {
            "stride": stride,
            "dilation": dilation,
            "padding": pairs,
            "padding_mode": self.options.get("padding_mode", "zeros"),
            "groups": self.options.get("groups", 1),
        }

    def _axes(self, value):
        return (value,) * self.rank if isinstance(value, int) else tuple(value)

    @property
    def out(self):
        """Output size along each axis."""
        return naive.out_size(self.size, self.kernel, *(self.plain[k] for k in ("stride", "dilation", "padding")))

    @property
    def y_shape(self):
        return (self.x_shape[0], self.w_shape[0], *self.out)

    def __str__(self):
        return self.name


def _case(name, x, w, **options):
    return Case(name, tuple(x), tuple(w), options)


def _pointwise():
    yield _case("1x1", (2, 3, 5, 7), (4, 3, 1, 1))
    yield _case("1x1 many channels", (1, 67, 3, 5), (65, 67, 1, 1))
    yield _case("1x1 stride", (1, 5, 7, 9), (6, 5, 1, 1), stride=2)
    yield _case("1x1 stride beyond kernel, padded", (1, 5, 7, 9), (6, 5, 1, 1), stride=(3, 2), padding=1)
    yield _case("1x1 groups", (1, 8, 6, 5), (12, 8 // 4, 1, 1), groups=4)
    yield _case("1x1 dilation means nothing", (1, 3, 4, 5), (2, 3, 1, 1), dilation=3)
    yield _case("1x1 edge padding", (1, 3, 4, 5), (2, 3, 1, 1), padding=2, padding_mode="edge")
    yield _case("1x1 long row of pixels", (1, 4, 1, 230), (18, 4, 1, 1))
    yield _case("1x1 padded behind only", (2, 3, 4, 5), (2, 3, 1, 1), padding=((0, 1), (0, 2)))
    yield _case("1x1 empty batch", (0, 3, 4, 5), (2, 3, 1, 1))
    yield _case("1x1x1 stride that leaves one row", (1, 3, 3, 2, 4), (2, 3, 1, 1, 1), stride=(1, 2, 1))
    yield _case("1x1x1 padded behind only", (1, 1, 2, 2, 3), (1, 1, 1, 1, 1), padding=((0, 1), (0, 0), (0, 1)))


def _tails():
    """Channel counts and widths beside every tile and vector width."""
    for C, O in [(1, 1), (1, 17), (3, 5), (3, 16), (5, 20), (8, 8), (16, 33), (17, 24), (20, 48), (24, 3), (33, 50)]:  # noqa: E741
        yield _case(f"channels {C} to {O}", (1, C, 4, 15), (O, C, 3, 3), padding=1)
    for C, O in [(48, 1), (50, 17), (15, 15), (31, 32), (64, 64), (2, 65), (96, 7), (7, 97)]:  # noqa: E741
        yield _case(f"channels {C} to {O}", (1, C, 3, 6), (O, C, 3, 3), padding=1)
    for width in (*range(1, 20), 27, 28, 29, 31, 32, 33, 43):
        yield _case(f"width {width}", (1, 3, 3, width), (18, 3, 3, 3), padding=1)
    for width in (14, 15, 16, 17, 31, 33, 47, 65):
        yield _case(f"one channel, width {width}", (1, 1, 5, width), (1, 1, 3, 3), padding=1)
    for height in (1, 2, 3, 4, 5, 7, 9, 13, 17):
        yield _case(f"height {height}", (1, 2, height, 6), (9, 2, 3, 3), padding=1)
    yield _case("even filter", (1, 3, 9, 15), (17, 3, 2, 4))
    yield _case("row filter", (2, 3, 5, 16), (5, 3, 1, 7), padding=(0, 3))
    yield _case("column filter", (2, 3, 16, 5), (5, 3, 7, 1), padding=(3, 0))


def _strides():
    for s in (2, 3, 4):
        yield _case(f"stride {s}", (1, 4, 13, 17), (18, 4, 3, 3), stride=s, padding=1)
    yield _case("stride by axis", (2, 3, 11, 17), (5, 3, 3, 3), stride=(1, 2))
    yield _case("stride by axis, rows", (2, 3, 11, 17), (5, 3, 3, 3), stride=(3, 1), padding=1)
    yield _case("stride beyond kernel", (1, 3, 13, 14), (4, 3, 2, 3), stride=(5, 4))
    yield _case("stride beyond image", (2, 3, 5, 6), (4, 3, 3, 3), stride=9, padding=1)
    yield _case("stride leaves a tail", (1, 3, 12, 12), (4, 3, 3, 3), stride=4)
    yield _case("7x7 stem", (1, 3, 23, 29), (20, 3, 7, 7), stride=2, padding=3)
    yield _case("patches", (1, 3, 16, 12), (24, 3, 4, 4), stride=4)
    yield _case("one channel stride", (1, 1, 15, 37), (1, 1, 5, 5), stride=2, padding=2)


def _dilations():
    yield _case("dilation 2", (1, 4, 11, 18), (17, 4, 3, 3), dilation=2, padding=2)
    yield _case("dilation by axis", (2, 3, 12, 9), (5, 3, 3, 2), dilation=(1, 4))
    yield _case("dilation and stride", (1, 3, 15, 17), (6, 3, 3, 3), dilation=(3, 2), stride=(2, 3), padding=3)
    yield _case("dilation and even stride", (1, 3, 15, 17), (6, 3, 3, 3), dilation=2, stride=2, padding=2)
    yield _case("dilation, padding wider than image", (1, 2, 4, 4), (3, 2, 3, 3), dilation=5, padding=5)
    yield _case("dilated one channel", (1, 1, 9, 33), (1, 1, 3, 3), dilation=(2, 3), padding=(2, 3))


def _paddings():
    yield _case("padding as wide as kernel", (1, 3, 5, 6), (4, 3, 3, 3), padding=3)
    yield _case("padding beyond kernel", (1, 3, 5, 6), (4, 3, 2, 3), padding=(5, 4))
    yield _case("padding beyond kernel, strided", (1, 3, 5, 6), (4, 3, 2, 2), padding=5, stride=3)
    yield _case("asymmetric padding", (2, 3, 6, 7), (5, 3, 3, 3), padding=((1, 0), (0, 2)))
    yield _case("padding on one side, strided", (1, 3, 9, 10), (5, 3, 3, 4), padding=((0, 3), (4, 0)), stride=2)
    yield _case("padding on one axis", (1, 3, 6, 7), (5, 3, 3, 3), padding=(0, 1))
    yield _case("valid", (1, 3, 6, 7), (5, 3, 3, 3), padding="valid")
    yield _case("same", (2, 3, 6, 7), (5, 3, 3, 3), padding="same")
    yield _case("same, even filter", (1, 3, 6, 7), (5, 3, 2, 4), padding="same")
    yield _case("same, stride 2", (1, 3, 7, 8), (5, 3, 3, 3), padding="same", stride=2)
    yield _case("same, strides by axis", (1, 3, 10, 11), (5, 3, 5, 2), padding="same", stride=(2, 3))
    yield _case("same, stride beyond kernel", (1, 3, 10, 11), (5, 3, 2, 1), padding="same", stride=(4, 3))
    yield _case("same, dilated and strided", (1, 3, 10, 11), (5, 3, 3, 2), padding="same", stride=2, dilation=(2, 3))


def _extremes():
    yield _case("filter = image", (2, 3, 5, 4), (6, 3, 5, 4))
    yield _case("filter = padded image", (1, 3, 3, 4), (6, 3, 5, 6), padding=1)
    yield _case("one pixel", (2, 3, 1, 1), (4, 3, 1, 1))
    yield _case("one pixel, 3x3", (1, 3, 1, 1), (4, 3, 3, 3), padding=1)
    yield _case("one number", (1, 1, 1, 1), (1, 1, 1, 1))
    yield _case("one channel", (1, 1, 9, 11), (1, 1, 3, 3))
    yield _case("one channel, 5x5", (1, 1, 17, 35), (1, 1, 5, 5), padding=2)
    yield _case("one channel to many", (1, 1, 7, 9), (20, 1, 3, 3), padding=1)
    yield _case("many channels to one", (1, 20, 7, 9), (1, 20, 3, 3), padding=1)
    yield _case("empty batch", (0, 3, 5, 6), (4, 3, 3, 3), padding=1)
    yield _case("empty batch, edge padding", (0, 3, 5, 6), (4, 3, 3, 3), padding=1, padding_mode="edge")
    yield _case("many images", (37, 2, 4, 5), (3, 2, 3, 3), padding=1)
    yield _case("many one-channel images", (19, 1, 6, 18), (1, 1, 3, 3), padding=1)
    yield _case("many pixels-only images", (33, 6, 1, 1), (5, 6, 1, 1))
    yield _case("C = 130", (1, 130, 4, 5), (17, 130, 3, 3), padding=1)
    yield _case("C = 300", (1, 300, 3, 4), (5, 300, 3, 3), padding=1)
    yield _case("C = 257 pointwise", (2, 257, 2, 3), (33, 257, 1, 1))
    yield _case("O = 300", (1, 4, 3, 4), (300, 4, 3, 3), padding=1)
    yield _case("C = 256, O = 130", (1, 256, 3, 3), (130, 256, 3, 3), padding=1)


def _groups():
    yield _case("2 groups", (2, 6, 6, 7), (8, 3, 3, 3), groups=2, padding=1)
    yield _case("3 groups, wide", (1, 51, 4, 15), (60, 17, 3, 3), groups=3, padding=1)
    yield _case("groups, strided", (1, 8, 9, 8), (12, 2, 3, 3), groups=4, stride=2, padding=1)
    yield _case("groups to one channel each", (1, 8, 6, 7), (2, 4, 3, 3), groups=2)
    yield _case("depthwise", (2, 5, 7, 9), (5, 1, 3, 3), groups=5, padding=1)
    yield _case("depthwise, 33 channels", (1, 33, 5, 17), (33, 1, 3, 3), groups=33, padding=1)
    yield _case("depthwise, stride 2", (1, 18, 9, 11), (18, 1, 3, 3), groups=18, stride=2, padding=1)
    yield _case("depthwise, dilated", (1, 17, 9, 11), (17, 1, 3, 3), groups=17, dilation=2, padding=2)
    yield _case("depthwise 5x5", (1, 16, 8, 19), (16, 1, 5, 5), groups=16, padding=2)
    yield _case("depthwise 5x5, stride 2", (1, 18, 11, 13), (18, 1, 5, 5), groups=18, stride=2, padding=2)
    yield _case("depthwise 7x7", (1, 20, 11, 15), (20, 1, 7, 7), groups=20, padding=3)
    yield _case("depthwise, multiplier 2", (1, 9, 6, 7), (18, 1, 3, 3), groups=9, padding=1)
    yield _case("depthwise, multiplier 3, strided", (2, 5, 8, 7), (15, 1, 3, 3), groups=5, stride=2)
    yield _case("depthwise, edge padding", (1, 6, 6, 7), (6, 1, 3, 3), groups=6, padding=2, padding_mode="edge")


def _padding_modes():
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        yield _case(f"{mode}", (2, 3, 6, 7), (5, 3, 3, 3), padding=1, padding_mode=mode)
        yield _case(
            f"{mode}, asymmetric, strided",
            (1, 3, 7, 9),
            (5, 3, 3, 4),
            padding=((2, 1), (0, 3)),
            stride=2,
            padding_mode=mode,
        )
        yield _case(
            f"{mode}, wider than image", (1, 2, 3, 2), (3, 2, 3, 3), padding=((7, 4), (5, 6)), padding_mode=mode
        )
        yield _case(f"{mode}, one pixel", (1, 2, 1, 1), (3, 2, 3, 3), padding=1, padding_mode=mode)
        yield _case(
            f"{mode}, dilated groups", (1, 4, 8, 9), (6, 2, 3, 3), padding=2, dilation=2, groups=2, padding_mode=mode
        )
        yield _case(f"{mode}, one channel", (1, 1, 9, 20), (1, 1, 5, 5), padding="same", padding_mode=mode)
        yield _case(f"{mode}, 1-D", (1, 2, 11), (3, 2, 4), padding=3, padding_mode=mode)
        yield _case(f"{mode}, 3-D", (1, 2, 3, 4, 5), (3, 2, 2, 3, 3), padding=1, padding_mode=mode)


def _one_dimension():
    yield _case("1-D", (2, 3, 17), (5, 3, 3), padding=1)
    yield _case("1-D options", (2, 4, 31), (6, 2, 4), stride=3, dilation=2, padding=((3, 1),), groups=2)
    yield _case("1-D one element", (1, 1, 1), (1, 1, 1))
    yield _case("1-D row of 1000", (1, 1, 1000), (1, 1, 7), padding=3)
    yield _case("1-D row of 2500, 5 channels", (1, 5, 2500), (3, 5, 5), padding=2)
    yield _case("1-D row of 1500, strided", (2, 2, 1500), (4, 2, 11), stride=4)
    yield _case("1-D long filter", (1, 1, 900), (1, 1, 301), padding=150)
    yield _case("1-D filter longer than image", (1, 2, 40), (3, 2, 95), padding=50)
    yield _case("1-D causal, dilated", (1, 6, 70), (8, 6, 2), dilation=16, padding=((16, 0),))
    yield _case("1-D same, stride 2", (3, 2, 21), (4, 2, 4), padding="same", stride=2)
    yield _case("1-D depthwise", (2, 20, 33), (20, 1, 5), groups=20, padding=2)
    yield _case("1-D empty batch", (0, 2, 9), (3, 2, 3))


def _three_dimensions():
    yield _case("3-D", (2, 2, 4, 5, 6), (3, 2, 3, 3, 3), padding=1)
    yield _case("3-D wide channels", (1, 17, 2, 3, 15), (18, 17, 2, 2, 2))
    yield _case(
        "3-D options",
        (1, 4, 6, 7, 8),
        (6, 2, 2, 3, 2),
        stride=(2, 1, 3),
        dilation=(2, 1, 2),
        padding=(1, 0, 2),
        groups=2,
    )
    yield _case("3-D pointwise", (1, 3, 3, 4, 5), (4, 3, 1, 1, 1), stride=2)
    yield _case("3-D same", (1, 2, 5, 4, 7), (3, 2, 3, 2, 3), padding="same", stride=(1, 2, 2))
    yield _case("3-D filter = image", (1, 3, 3, 4, 2), (4, 3, 3, 4, 2))
    yield _case("3-D depthwise", (1, 5, 4, 4, 6), (5, 1, 3, 3, 3), groups=5, padding=1)
    yield _case("3-D one channel", (1, 1, 5, 6, 18), (1, 1, 3, 3, 3), padding=1)
    yield _case("3-D causal", (1, 2, 5, 3, 4), (2, 2, 3, 1, 1), padding=((2, 0), (0, 0), (0, 0)))


def _large_filters():
    """Where Fourier transforms pay: filters beside powers of two, tiles that end anywhere."""
    yield _case("9x9", (1, 2, 20, 21), (3, 2, 9, 9), padding=4)
    yield _case("15x15 one channel", (1, 1, 31, 40), (1, 1, 15, 15), padding=7)
    yield _case("16x17 groups", (1, 4, 24, 20), (2, 2, 16, 17), groups=2)
    yield _case("21x5, several images", (2, 3, 25, 33), (2, 3, 21, 5), padding=(10, 2))
    yield _case("11x11 strided", (1, 3, 27, 25), (4, 3, 11, 11), stride=4, padding=2)
    yield _case("7x7 dilated", (1, 2, 26, 24), (3, 2, 7, 7), dilation=3, padding=9)
    yield _case("31x31 reflect", (1, 1, 20, 23), (2, 1, 31, 31), padding=15, padding_mode="reflect")
    yield _case("larger than a tile", (1, 1, 70, 75), (1, 1, 13, 13), padding=6)
    yield _case("filter of 67x2", (1, 2, 70, 5), (2, 2, 67, 2))
    yield _case("large depthwise", (1, 9, 18, 19), (9, 1, 9, 9), groups=9, padding=4)
    yield _case("5x5x5", (1, 2, 7, 8, 9), (2, 2, 5, 5, 5), padding=2)


CASES = [
    case
    for aspect in (
        _pointwise,
        _tails,
        _strides,
        _dilations,
        _paddings,
        _extremes,
        _groups,
        _padding_modes,
        _one_dimension,
        _three_dimensions,
        _large_filters,
    )
    for case in aspect()
]

assert not [name for name, count in Counter(map(str, CASES)).items() if count > 1], "two cases share a name"


def _transposed(name, x, w, **options):
    return Case(name, tuple(x), tuple(w), options)


#: Transposed convolutions: x (N, C, *size), w (C, O/groups, *kernel).
TRANSPOSED = [
    _transposed("plain", (2, 3, 5, 6), (3, 4, 3, 3)),
    _transposed("1x1", (1, 3, 4, 5), (3, 2, 1, 1)),
    _transposed("stride 2", (1, 5, 4, 5), (5, 17, 4, 4), stride=2, padding=1),
    _transposed("stride 2, output_padding", (1, 5, 4, 5), (5, 6, 3, 3), stride=2, padding=1, output_padding=1),
    _transposed("output_padding by axis", (1, 3, 4, 5), (3, 2, 3, 3), stride=(3, 2), output_padding=(2, 0)),
    _transposed("output_padding below dilation", (1, 3, 4, 5), (3, 2, 3, 3), dilation=3, output_padding=2),
    _transposed("stride beyond kernel", (1, 3, 4, 5), (3, 2, 2, 2), stride=(3, 4)),
    _transposed("stride beyond kernel, output_padding", (1, 3, 3, 4), (3, 2, 1, 2), stride=5, output_padding=4),
    _transposed("dilation", (1, 3, 6, 5), (3, 2, 3, 2), dilation=(2, 3), padding=1),
    _transposed("asymmetric padding", (2, 3, 5, 6), (3, 4, 3, 4), padding=((0, 2), (3, 1)), stride=2),
    _transposed("groups", (1, 6, 4, 5), (6, 2, 3, 3), groups=3, stride=2, padding=1),
    _transposed("depthwise", (1, 5, 4, 5), (5, 1, 3, 3), groups=5, stride=2),
    _transposed("one channel", (1, 1, 7, 18), (1, 1, 5, 5), padding=2),
    _transposed("one pixel", (2, 3, 1, 1), (3, 4, 4, 4)),
    _transposed("wide", (1, 33, 3, 15), (33, 20, 3, 3), padding=1),
    _transposed("large filter", (1, 2, 12, 11), (2, 3, 11, 13), padding=5),
    _transposed("empty batch", (0, 3, 4, 4), (3, 2, 3, 3)),
    _transposed("1x1 empty batch", (0, 3, 4, 4), (3, 2, 1, 1)),
    _transposed("1x1 cut behind only", (1, 2, 3, 3), (2, 3, 1, 1), padding=((0, 1), (0, 1))),
    _transposed("1-D", (2, 3, 9), (3, 4, 4), stride=2, padding=1),
    _transposed(
        "1-D everything", (1, 4, 9), (4, 3, 3), stride=3, padding=((2, 1),), output_padding=2, dilation=2, groups=2
    ),
    _transposed("3-D", (1, 2, 3, 4, 3), (2, 3, 3, 2, 3), stride=(2, 1, 2), padding=(1, 0, 1), output_padding=(1, 0, 0)),
]

#: Pools: (x_shape, size, windows). Every pool and gradient is tried on each.
POOLS = [
    ((2, 3, 5, 7), 2, {}),
    ((1, 2, 6, 6), 3, {"stride": 2, "padding": 1}),
    ((2, 17, 9, 4), (2, 3), {"stride": (1, 2), "padding": ((1, 0), (0, 2))}),
    ((1, 70, 4, 5), 2, {"stride": 1}),
    ((1, 130, 3, 3), 3, {"stride": 1, "padding": 1}),
    ((1, 1, 4, 40), (1, 2), {}),
    ((1, 2, 3, 67), 3, {"stride": 2, "padding": ((0, 0), (1, 0))}),
    ((1, 2, 3, 35), (2, 4), {"stride": 1, "padding": ((1, 1), (3, 3))}),
    ((1, 3, 8, 37), (3, 5), {"stride": (2, 3), "padding": 2}),
    ((1, 2, 5, 34), (2, 33), {"stride": 1}),
    ((2, 2, 7, 8), (2, 3), {"dilation": (3, 2), "stride": (1, 2), "padding": (2, 1)}),
    ((1, 2, 2, 2), 3, {"dilation": 2, "padding": 2, "stride": 1}),
    ((1, 2, 7, 6), (3, 4), {"stride": (2, 3), "ceil_mode": True, "padding": (1, 2)}),
    ((1, 2, 5, 5), 2, {"stride": 3, "ceil_mode": True}),
    ((1, 1, 1, 1), 1, {}),
    ((1, 2, 1, 1), 3, {"padding": 1}),
    ((3, 2, 4, 4), 4, {"stride": 7}),
    ((0, 2, 4, 4), 2, {}),
    ((2, 2, 5, 6), 3, {"padding": "same", "stride": 2}),
    ((2, 3, 9), 2, {}),
    ((1, 5, 20), 3, {"stride": 2, "padding": ((2, 1),), "ceil_mode": True}),
    ((2, 2, 3, 4, 5), 2, {"stride": (1, 2, 2), "padding": (1, 0, 1)}),
    ((1, 18, 4, 3, 5), (2, 3, 2), {"dilation": (2, 1, 2), "stride": 1}),
]

#: (x_shape, size) of adaptive pools.
ADAPTIVE = [
    ((2, 3, 7, 9), (3, 4)),
    ((1, 18, 6, 8), (3, 4)),
    ((1, 2, 5, 40), (5, 1)),
    ((2, 2, 4, 4), 1),
    ((1, 2, 3, 2), (5, 7)),
    ((1, 3, 8, 6), (None, 4)),
    ((2, 3, 11), 4),
    ((1, 2, 4, 5, 70), (2, 3, 1)),
]

#: Unfolding: (x_shape, kernel, stride, padding, dilation).
UNFOLDS = [
    ((2, 3, 5, 7), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((1, 2, 9, 8), (3, 2), (2, 3), ((1, 0), (2, 1)), (1, 2)),
    ((1, 1, 4, 40), (2, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((1, 2, 3, 71), (2, 3), (1, 2), ((0, 0), (1, 0)), (2, 1)),
    ((1, 1, 3, 34), (1, 2), (1, 2), ((0, 0), (0, 0)), (1, 1)),
    ((2, 1, 2, 3), (3, 3), (1, 1), ((4, 5), (6, 3)), (1, 1)),
    ((1, 2, 4, 4), (4, 4), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((1, 2, 5, 5), (1, 1), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    ((0, 2, 4, 4), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((2, 3, 11), (4,), (3,), ((2, 1),), (2,)),
    ((2, 2, 3, 4, 5), (2, 3, 2), (1, 2, 2), ((1, 0), (0, 1), (1, 1)), (2, 1, 3)),
]
