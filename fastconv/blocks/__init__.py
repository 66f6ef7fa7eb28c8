"""Arrays in blocks: how an operation is cut, and running it within a budget of memory (`blockwise`)."""

from .budget import blockwise
from .operations import Operation, operation
from .reach import CUT, Reach, Run, runs, turned

__all__ = ["CUT", "Operation", "Reach", "Run", "blockwise", "operation", "runs", "turned"]
