"""Fetching files from the first mirror that serves them with the right checksum, without waiting long for dead ones."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

PATIENCE = 4.0  # seconds that a mirror has to answer
STALL = 15.0  # seconds without a byte after which a download is given up
CHUNK = 1 << 16  # bytes; pooch's own 1 KiB makes a fast line wait for Python


class Mirrors:
    """The mirrors of one data set during one attempt to fetch it; one that cannot be reached is not asked again.

    Parameters
    ----------
    addresses : tuple of str
        In the order of preference, each ending in a slash.
    """

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        self._lost: dict[str, str | None] = {}  # why a mirror cannot be reached, None if it can
        self._failures: dict[str, str] = {}

    def report(self) -> list[str]:
        """Each mirror that failed, with its last reason."""
        return [f"{address}: {reason}" for address, reason in self._failures.items()]

    def fetch(self, name: str, checksum: str, folder: Path) -> bool:
        """Fetch `name` into `folder` from the first mirror that has it; False if none has.

        pooch writes to a temporary name and renames once the checksum is right, so an interrupted download leaves
        nothing that would pass for the file.
        """
        try:
            import pooch
        except ImportError:
            self._failures["downloads"] = "the package pooch is not installed (pip install pooch)"
            return False
        fetcher = pooch.HTTPDownloader(timeout=(PATIENCE, STALL), chunk_size=CHUNK)
        for address in self._addresses:
            if address not in self._lost:
                self._lost[address] = unreachable(address)
            reason = self._lost[address]
            if reason is None:
                try:
                    pooch.retrieve(address + name, known_hash=checksum, fname=name, path=folder, downloader=fetcher)
                    return True
                except (OSError, ValueError) as fault:  # requests raises OSErrors; a wrong checksum is a ValueError
                    reason = f"{name}: {_in_short(fault)}"
                    if _is_lost(fault):
                        self._lost[address] = reason
            self._failures[address] = reason
        return False


def unreachable(address: str) -> str | None:
    """Why no server answers at `address`, or None if one does (whatever it says).

    A time-out alone would not do: it counts for each address of a host (some have eight) and not while its name is
    looked up. So a thread asks, and is left behind if it takes too long.
    """
    import requests

    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            requests.head(address, timeout=PATIENCE).close()
            answer.put(None)
        except (OSError, ValueError) as fault:
            answer.put(_in_short(fault))

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.get(timeout=PATIENCE)
    except queue.Empty:
        return f"no answer within {PATIENCE:g} s"


def _is_lost(fault: Exception) -> bool:
    import requests

    return isinstance(fault, requests.ConnectionError | requests.Timeout)


def _in_short(fault: Exception) -> str:
    """A few words in place of the nested text of requests and pooch."""
    import requests

    if isinstance(fault, requests.Timeout):
        return "no answer in time"
    if isinstance(fault, requests.ConnectionError):
        return "no connection"
    if isinstance(fault, requests.HTTPError) and fault.response is not None:
        return f"the server said {fault.response.status_code} {fault.response.reason}"
    if isinstance(fault, ValueError) and "hash" in str(fault):
        return "what came does not have the published checksum"
    return f"{type(fault).__name__}: {fault}"
