"""SciPy's own tests of its filters, with our functions in the place of SciPy's."""

from scipy import ndimage as theirs
from scipys_tests import load, num_parallel_threads, taken_from, xp  # noqa: F401 - fixtures

from fastconv import ndimage

tests = load("scipy.ndimage.tests.test_filters", theirs, ndimage)
del tests.TestVectorizedFilter  # of a function that stays SciPy's
globals().update(taken_from(tests))
