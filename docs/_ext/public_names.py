"""What the API pages list: the public names of a module, each documented once, where it is at home."""

from __future__ import annotations

import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: A formula of a docstring: a paragraph such as y[n,o,i,j] = ...
FORMULA = re.compile(r"\w+\[[^\]]*\](\[[^\]]*\])? \+?= ")
QUOTED = re.compile(r"(``.*?``|`[^`]+`)")
SPECIAL = re.compile(r"\||\*(?=\S)|(?<=\w)_(?!\w)")
LISTED = re.compile(r"^   (fastconv[\w.]*)$", re.M)


@cache
def documented() -> tuple[str, ...]:
    """The modules that api/index.rst lists, and fastconv itself, whose functions have a page written by hand."""
    page = Path(__file__).parents[1] / "api" / "index.rst"
    return tuple(dict.fromkeys(LISTED.findall(page.read_text(encoding="utf-8"))))


@cache
def public(module: str) -> dict[str, Any]:
    """Name -> object: those of ``__all__``; without one what the module itself defines."""
    home = import_module(module)
    if hasattr(home, "__all__"):
        return {name: getattr(home, name) for name in home.__all__ if name != "__version__"}
    return {
        name: value
        for name, value in vars(home).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module and not inspect.ismodule(value)
    }


def home_of(value: Any, module: str) -> str:
    """The one module listed where an object is documented, of those in which it is public.

    Deeper ones and that where it is made come before those that pass it on, then comes fastconv itself, then the first.
    """
    made_in = f"{getattr(value, '__module__', None)}."
    homes = [other for other in documented() if any(value is each for each in public(other).values())]
    for other in sorted(homes, key=lambda name: -name.count(".")):
        deeper = other.startswith(module + ".")
        if deeper or made_in.startswith(other + ".") and not f"{module}.".startswith(other + "."):
            return other
    if "fastconv" in homes:
        return "fastconv"
    alike = [] if made_in.startswith(module + ".") else [h for h in homes if h.count(".") == module.count(".")]
    return alike[0] if alike else module


def groups(module: str) -> dict[str, list[str]]:
    """Title -> names: what has a page of its own below this module's, what lies elsewhere, and second names."""
    found: dict[str, list[str]] = {
        title: [] for title in ("Classes", "Functions", "Exceptions", "Data", "Elsewhere", "Modules", "Second names")
    }
    for name, value in public(module).items():
        first = getattr(value, "__name__", name)
        if isinstance(value, ModuleType):
            found["Modules"].append(name)
        elif home_of(value, module) != module:
            found["Elsewhere"].append(f"{home_of(value, module)}.{first}".removeprefix(f"{module}."))
        elif first != name and public(module).get(first) is value:
            found["Second names"].append(f":obj:`{name} <{first}>` is {first}")
        else:
            found[kind_of(value)].append(name)
    return found


def kind_of(value: Any) -> str:
    if inspect.isclass(value):
        return "Exceptions" if issubclass(value, BaseException) else "Classes"
    return "Functions" if callable(value) else "Data"


def plain_text(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written for the terminal: |x| is a magnitude, * multiplies, formulas are paragraphs."""
    done: list[str] = []
    block, depth = "", 0  # what stands as it is: "example" and "formula" to the next empty line, "literal" to its end
    for before, line in zip(["", *lines], lines, strict=False):
        words = line.lstrip()
        if block == "literal" and words and len(line) - len(words) <= depth:
            block = ""
        if not words:
            block = block if block == "literal" else ""
        elif not block and words.startswith(">>>"):
            block = "example"
        elif not block and not before.strip() and FORMULA.match(words):
            done += [".. code-block:: none", ""]
            block = "formula"
        done.append("   " + line if block == "formula" else line if block else escaped(line))
        if not block and line.endswith("::"):
            block, depth = "literal", len(line) - len(words)
    lines[:] = done


def escaped(line: str) -> str:
    """Without the meanings that characters outside of backticks have in reStructuredText."""
    return "".join(part if part.startswith("`") else SPECIAL.sub(r"\\\g<0>", part) for part in QUOTED.split(line))


BASES = ("Layer", "Loss", "Metric", "Optimizer", "Callback", "Initializer")


def skip_foreign(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Methods that a class has of Python's own classes are left out."""
    home = getattr(inspect.unwrap(obj) if callable(obj) else obj, "__module__", None) or getattr(
        getattr(obj, "__objclass__", None), "__module__", None
    )
    return True if home and not home.startswith("fastconv") and inspect.isroutine(obj) else None


def use_public_names(app: Sphinx) -> None:
    """A class that is public under another name than its own is documented as what users write."""
    for module in documented():
        for name, value in public(module).items():
            if inspect.isclass(value) and value.__name__ not in public(module) and home_of(value, module) == module:
                value.__name__ = value.__qualname__ = name


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", use_public_names)
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before numpydoc
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True}
