"""What messages say of the arguments they refuse: `fastconv.errors.shown`."""

import itertools
import time

import numpy as np
import pytest

from fastconv.errors import SHOWN, shown


class Mute:
    """A class whose methods all fail."""

    def __repr__(self):
        raise RuntimeError("no words")

    def __len__(self):
        raise KeyError("no length")

    @property
    def shape(self):
        raise ZeroDivisionError("no shape")


class Loud:
    def __repr__(self):
        return "very\n  loud " * 10**5


class ShapeOnly:
    shape = property(lambda self: self.missing)
    dtype = "none"

    def __repr__(self):
        return "ShapeOnly()"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        ("it's", '"it\'s"'),
        ("a\nb", "'a\\nb'"),
        ((1,), "(1,)"),
        ((), "()"),
        (set(), "set()"),
        ([1, (2, "b")], "[1, (2, 'b')]"),
        ({"a": [1], 2: None}, "{'a': [1], 2: None}"),
        (frozenset({3}), "frozenset({3})"),
        ({3}, "{3}"),
        (np.float32(1.5), repr(np.float32(1.5))),
        (np.zeros((2, 3), np.int8), "ndarray(shape=(2, 3), dtype=int8)"),
        (np.array(1.0), "ndarray(shape=(), dtype=float64)"),
        ([np.zeros(4)], "[ndarray(shape=(4,), dtype=float64)]"),
        (np.ndarray, "<class 'numpy.ndarray'>"),
        (np.dtype("int8"), "dtype('int8')"),
        (ShapeOnly(), "ShapeOnly()"),
    ],
)
def test_short_values_are_shown_as_they_are(value, text):
    assert shown(value) == text


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


LONG = [
    "x" * 10**6,
    b"x" * 10**6,
    bytearray(10**6),
    list(range(10**6)),
    tuple(range(10**6)),
    set(range(10**6)),
    dict.fromkeys(range(10**6)),
    [["x" * 10**6] * 1000] * 1000,
    10**5000,  # more digits than Python converts
    -(10**400),
    nested(10**5),
    [[]] * 10**6,
    Loud(),
    {"k" * 10**6: "v" * 10**6},
    itertools.repeat([0] * 10**6, 5),
    np.zeros((1,) * 60),
]


@pytest.mark.parametrize("value", LONG, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("limit", [20, SHOWN])
def test_long_values_are_cut_without_being_written_out(value, limit):
    start = time.process_time()
    text = shown(value, limit)
    assert len(text) <= limit and "\n" not in text
    assert time.process_time() - start < 0.5


def test_what_cannot_be_shown_is_shown_by_its_type():
    assert shown(Mute()).startswith("<") and "Mute object at" in shown(Mute())
    assert "Mute object" in shown([1, Mute()], 200) and shown([1, Mute()]).startswith("[1, <")
    loop = []
    loop.append(loop)
    assert len(shown(loop)) <= SHOWN
    with pytest.raises(KeyboardInterrupt):  # a user's Ctrl-C is not an answer

        class Interrupted:
            def __repr__(self):
                raise KeyboardInterrupt

        shown(Interrupted())
