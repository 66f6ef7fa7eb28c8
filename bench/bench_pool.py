"""Pooling in both layouts."""

import pytest

from fastconv.measure import suite

CONTENDERS = ["fastconv auto", "torch channels first", "torch channels last"]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("problem", suite("pool"), ids=lambda p: f"{p}-{p.layout}")
def test_pools(contest, problem, contender):
    contest(problem, contender)
