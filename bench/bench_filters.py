"""Filtering one image or one signal of one channel."""

import pytest

from fastconv.measure import suite

CONTENDERS = ["fastconv auto", "opencv filter2D", "scipy signal.fftconvolve", "scipy signal.oaconvolve"]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("problem", [*suite("filters"), *suite("signal")], ids=lambda p: f"{p}-{p.layout}")
def test_filters(contest, problem, contender):
    contest(problem, contender)
