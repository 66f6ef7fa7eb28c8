"""The report of ``gpu.py``: its lines, and the file they are in as soon as they are known."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "tests", ROOT / "bench"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from fastconv.files import write_text  # noqa: E402


class Line(NamedTuple):
    """A line of the report; the state is "right", "wrong", "missed" (a target of speed) or "row" (of a table)."""

    text: str
    state: str = "right"


class Report:
    """What was found, in the file as soon as it is known."""

    def __init__(self, path: Path, head: Iterable[str]) -> None:
        self.path, self.head, self.sections, self.right = path, list(head), {}, True
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.write()

    def add(self, section: str, line: Line) -> None:
        """One more line of a section."""
        with self._lock:
            self.sections.setdefault(section, []).append(line)
            self.right &= line.state != "wrong"
            self.write()
        print(f"{section}: {line.text}" + ("" if line.state in ("right", "row") else f" [{line.state}]"), flush=True)

    def write(self) -> None:
        """The whole file, by a new one in its place."""
        text = list(self.head)
        for section, lines in self.sections.items():
            text += ["", f"## {section}", ""]
            for before, line in zip([None, *lines], lines, strict=False):
                if before is not None and (before.state == "row") != (line.state == "row"):
                    text.append("")
                text.append(_written(line))
        write_text(self.path, "\n".join(text) + "\n")


def _written(line: Line) -> str:
    if line.state == "row":
        return line.text
    return f"- {line.text}" + ("" if line.state == "right" else f" **{line.state.upper()}**")
