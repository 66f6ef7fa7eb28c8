"""Arrays in blocks: how an operation is cut, and running it within a budget of memory (`blockwise`)."""

from .budget import blockwise
from .lookup import operation
from .operations import Operation
from .reach import CUT, Reach, Run, runs, turned

__all__ = ["CUT", "Operation", "Reach", "Run", "blockwise", "operation", "runs", "turned"]
