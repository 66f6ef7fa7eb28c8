"""Text for streams that may be gone: a closed pipe, a full device, no standard output at all.

What is said on the way must never cost what the work was for, so writing here does not raise.
"""

from __future__ import annotations

import sys
from typing import Any


class Tolerant:
    """A text stream whose faults are noted instead of raised; after the first, nothing more is written.

    Parameters
    ----------
    stream : text stream or None
        None, as `sys.stdout` is in a program without a console, takes everything and shows nothing.

    Attributes
    ----------
    error : Exception or None
        The first fault: an OSError of the system, or whatever an object in the place of `sys.stdout` raised.

    Examples
    --------
    >>> out = Tolerant(None)
    >>> out.write("nobody listens")
    14
    >>> out.isatty()
    False
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write, if the stream still takes it; characters that it cannot encode are written as escapes."""
        try:
            self._call("write", text)
        except UnicodeEncodeError:
            encoding = getattr(self._stream, "encoding", None) or "ascii"
            self._call("write", text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush, if the stream has something to flush."""
        if hasattr(self._stream, "flush"):
            self._call("flush")

    def isatty(self) -> bool:
        """Whether it is a terminal; an object that does not say is none."""
        try:
            return bool(self._stream.isatty())
        except Exception:  # no such method, or a stream that is closed
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _call(self, method: str, *arguments: str) -> None:
        if self._stream is None or self.error is not None:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except UnicodeEncodeError:
            raise
        except Exception as error:  # the stream may be any object
            self.error = error


def put(stream: Any, text: str) -> Exception | None:
    """Write and flush; returns what went wrong."""
    out = Tolerant(stream)
    out.write(text)
    out.flush()
    return out.error


def print_line(text: str = "", end: str = "\n") -> Exception | None:
    """Print a line to standard output as it is now; returns what went wrong."""
    return put(sys.stdout, text + end)
