"""``bench/bits.py`` notices a changed bit, and nothing else."""

from itertools import islice

import bits
import numpy as np
import pytest
from bits_calls import Call, calls

from fastconv.errors import Unsupported


def hashed(result):
    return bits.hash_of(Call("line", "name", lambda: result))


def test_a_hash_is_of_the_bits():
    x = np.arange(6.0).reshape(2, 3)
    assert hashed(x) == hashed(x.copy()) == hashed(np.asfortranarray(x)) == hashed((x,))
    others = [x.T, x.ravel(), x.astype("float32"), np.nextafter(x, 1), (x, x), -x]
    assert len({hashed(other) for other in [x, *others]}) == 1 + len(others)
    assert hashed(np.float32(0.0)) != hashed(np.float32(-0.0))


def test_a_refusal_is_recorded_and_a_fault_is_not():
    def refuse():
        raise Unsupported("no")

    def fail():
        raise ValueError("no")

    assert bits.hash_of(Call("line", "name", refuse)) == "unsupported"
    with pytest.raises(ValueError, match="no"):
        bits.hash_of(Call("line", "name", fail))


def test_calls_are_repeatable():
    first, second = ({(c.line, c.name): bits.hash_of(c) for c in islice(calls(), 0, 600, 7)} for _ in range(2))
    assert first == second
    assert len(first) == 86
    assert len(set(first.values())) > 10


def test_differences_are_listed(capsys):
    old, new = {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "3"}
    assert bits.compare(old, dict(old)) == 0
    assert bits.compare(old, new) == 1
    assert bits.compare({}, {}) == 1
    assert capsys.readouterr().out.splitlines()[1:5] == [
        "differs: b", "only in the first: c", "only in the second: d", "3 and 3 results, 3 differences",
    ]  # fmt: skip
