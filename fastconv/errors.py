"""The four exceptions fastconv raises on purpose, each a subclass of the built-in a caller would expect."""


class FastconvError(Exception):
    """Base class: ``except fastconv.errors.FastconvError`` catches everything fastconv raises on purpose."""


class InvalidArgument(FastconvError, ValueError):
    """An argument is wrong whatever the method or device: the message names it, what was expected and what to do."""


class Unsupported(FastconvError, NotImplementedError):
    """The problem is legal but the method asked for cannot serve it: the message names those that can."""


class DeviceMissing(FastconvError, RuntimeError):
    """A device was asked for that this process cannot use: the message says what was looked for."""


class DataUnavailable(FastconvError, OSError):
    """A data set was found nowhere, or a file of it is damaged: the message lists what was tried."""


class MissingExtra(FastconvError, ImportError):
    """An optional dependency is not installed: the message gives the ``pip install`` line that brings it."""
