"""Forward convolution: the layers that the speed target is stated over."""

import pytest

from fastconv.measure import suite

CONTENDERS = ["fastconv auto", "fastconv direct", "torch channels first", "torch channels last"]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("problem", suite("layers"), ids=lambda p: f"{p}-{p.layout}")
def test_forward(contest, problem, contender):
    contest(problem, contender)
