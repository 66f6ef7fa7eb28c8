"""Named problems, machine peaks, and the timing protocol that ``fastconv bench`` and bench/ share.

`compare` checks every result against float64 values computed from the definition, then times fastconv's methods and
its rivals in turns in this process.
"""

from .comparison import compare, our_call
from .explanation import Candidate, Explanation, explain, explain_problem
from .machine import Peaks, environment, info, measure_peaks
from .oracle import Expected, expect, make_arrays
from .problems import Problem, in_dtype, in_layout, parse_problem, shrink
from .rivals import RIVALS, Rival, find_rivals
from .rows import METHODS, Entry, Row, summary
from .suites import SUITES, suite
from .timing import Timing, geometric_mean, interleave
from .tuning import Tuned, calibration, tune

__all__ = [
    "METHODS",
    "RIVALS",
    "SUITES",
    "Candidate",
    "Entry",
    "Expected",
    "Explanation",
    "Peaks",
    "Problem",
    "Rival",
    "Row",
    "Timing",
    "Tuned",
    "calibration",
    "compare",
    "environment",
    "expect",
    "explain",
    "explain_problem",
    "find_rivals",
    "geometric_mean",
    "in_dtype",
    "in_layout",
    "info",
    "interleave",
    "make_arrays",
    "measure_peaks",
    "our_call",
    "parse_problem",
    "shrink",
    "suite",
    "summary",
    "tune",
]
