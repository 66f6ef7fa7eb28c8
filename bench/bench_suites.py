"""The suites of problems, each with the contenders that can take part; the speed target is stated over ``layers``."""

import pytest

from fastconv.measure import suite

TORCH = ["torch channels first", "torch channels last"]
FORWARD = ["fastconv auto", "fastconv plan", "fastconv direct", *TORCH]
FILTERS = ["fastconv auto", "opencv filter2D", "scipy signal.fftconvolve", "scipy signal.oaconvolve"]
CONTENDERS = {
    "layers": FORWARD,
    "first": FORWARD,
    "double": FORWARD,
    "backward": ["fastconv auto", *TORCH],
    "filters": FILTERS,
    "signal": FILTERS,
    "pool": ["fastconv auto", *TORCH],
    "small": ["fastconv auto", "fastconv plan", *TORCH],
}


@pytest.mark.parametrize(
    ("problem", "contender"),
    [
        pytest.param(problem, contender, id=f"{name}-{problem}-{problem.layout}-{problem.spec.dtype}-{contender}")
        for name, contenders in CONTENDERS.items()
        for problem in suite(name)
        for contender in contenders
    ],
)
def test_contest(contest, problem, contender):
    contest(problem, contender)
