"""Input and weight gradients of the layers of a training step."""

import pytest

from fastconv.measure import suite

CONTENDERS = ["fastconv auto", "torch channels first", "torch channels last"]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("problem", suite("backward"), ids=lambda p: f"{p}-{p.layout}")
def test_gradients(contest, problem, contender):
    contest(problem, contender)
