"""Forward convolution: the layers that the speed target is stated over."""

import pytest

from fastconv.measure import suite

PROBLEMS = [*suite("layers"), *suite("first"), *suite("double")]
CONTENDERS = ["fastconv auto", "fastconv plan", "fastconv direct", "torch channels first", "torch channels last"]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p}-{p.layout}-{p.spec.dtype}")
def test_forward(contest, problem, contender):
    contest(problem, contender)
