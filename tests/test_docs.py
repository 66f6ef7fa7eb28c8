"""The site's pages name all that is public; `make docs` builds it, and fails on what Sphinx warns of."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn import datasets

DOCS = Path(__file__).parent.parent / "docs"
API = DOCS / "api"


def extension(name):
    """One of the site's own extensions; they need Sphinx only inside of it."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


public_names = extension("public_names")


def public_modules():
    """fastconv's public modules but ops, whose functions are fastconv's own, and the modules inside of them."""
    yield from (f"fastconv.{name}" for name in (*fc._MODULES, *fc._ON_REQUEST, "errors") if name != "ops")
    yield "fastconv.autograd.functional"
    yield from (f"fastconv.nn.{name}" for name in nn.__all__ if inspect.ismodule(getattr(nn, name)))
    yield from (
        f"fastconv.nn.datasets.{name}" for name in datasets.__all__ if hasattr(getattr(datasets, name), "load_data")
    )


def test_every_public_module_has_a_page():
    assert set(public_modules()) <= set(public_names.documented())


def test_every_public_function_of_fastconv_is_listed():
    listed = re.findall(r"^   ([\w.]+)$", (API / "fastconv.rst").read_text(encoding="utf-8"), re.M)
    functions = {name for name in fc.__all__ if not inspect.ismodule(getattr(fc, name)) and name != "__version__"}
    assert functions == set(listed) - {"ops.ConvPlan"}


def test_what_several_modules_pass_on_has_one_home():
    """Sphinx warns of a second description, but only where both fall to one of its processes."""
    homes: dict[int, set[str]] = {}
    for module in public_names.documented():
        if ".dask" not in module:
            for value in public_names.public(module).values():
                if callable(value):
                    homes.setdefault(id(value), set()).add(public_names.home_of(value, module))
    several = [modules for modules in homes.values() if len(modules - {"fastconv"}) > 1]
    assert len(homes) > 500 and not several


@pytest.mark.parametrize("module", [name for name in public_names.documented() if ".dask" not in name])
def test_what_is_listed_says_what_it_is(module):
    """Each name once, with a sentence; what has none would be an empty row."""
    groups = public_names.groups(module)
    names = [name for title in ("Classes", "Functions", "Exceptions") for name in groups[title]]
    assert names or groups["Data"] or groups["Modules"] or groups["Elsewhere"]
    assert len(names) == len(set(names))
    for name in names:
        assert inspect.getdoc(public_names.public(module)[name]), f"{module}.{name} has no docstring"


def test_names_are_documented_where_they_are_at_home():
    assert public_names.home_of(nn.Sequential, "fastconv.nn") == "fastconv.nn.models"
    assert public_names.home_of(fc.explain, "fastconv.measure") == "fastconv"
    assert (
        ":obj:`MaxPool2D <MaxPooling2D>` is MaxPooling2D" in public_names.groups("fastconv.nn.layers")["Second names"]
    )
    assert all(".Any" not in name for name in public_names.groups("fastconv.errors")["Classes"])


def test_docstrings_for_the_terminal_become_text():
    assert (
        public_names.escaped("below (|x|*|w|), see `a|b`, ``*c``, val_")
        == r"below (\|x\|\*\|w\|), see `a|b`, ``*c``, val\_"
    )
    lines = ["Sums.", "", "y[n,o] = b[o] + x*w", "    + more", "", ">>> a | b", "1", "", "2*N"]
    public_names.plain_text(None, "function", "f", None, None, lines)
    formula = [".. code-block:: none", "", "   y[n,o] = b[o] + x*w", "       + more"]
    assert lines == ["Sums.", "", *formula, "", ">>> a | b", "1", "", r"2\*N"]


def test_links_of_pages_are_right_on_the_site_too():
    class App:
        srcdir = str(DOCS)

        class env:
            @staticmethod
            def doc2path(name):
                return str(DOCS / f"{name}.md")

    page = [
        "[a](../lectures/README.rst) [b](../../CHANGELOG.md) [`c`](../../Makefile) [d](../scipy.md) [e](https://x.org)"
    ]
    extension("beyond_docs").rewrite(App, "guide/learning", page)
    assert page == [
        "[a](../gallery/index.rst) [b](../changelog.md) {download}`c <../../Makefile>` [d](../scipy.md) [e](https://x.org)"
    ]


def test_lectures_begin_with_a_title():
    pages = sorted((DOCS / "lectures").glob("*.py"))
    assert pages and all(re.match(r'"""\n[^\n]+\n=+\n', page.read_text(encoding="utf-8")) for page in pages)


KERAS = (DOCS / "keras.md").read_text(encoding="utf-8")
NAMED = {"Layers", "Losses", "Metrics", "Optimizers", "Callbacks", "Models"}  # whose tables name every class
KERAS_NAMES = dict(
    line.split(": ")
    for line in (Path(__file__).parent / "keras_names.txt").read_text().replace("\n    ", " ").splitlines()
    if not line.startswith("#")
)


def section(title):
    """The text of docs/keras.md below a heading, what it says is not here, and what only fastconv has."""
    text = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", KERAS, re.M | re.S)[1]
    here, _, rest = text.partition("\nNot here")
    absent, _, own = rest.partition("\nOnly here")
    absent = absent.partition("\nOf `compile`")[0]
    return here, *(re.findall(r"`(\w+)`", part) for part in (absent, own))


def first_cells(text):
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `") and "`keras." not in line]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def public_of(module):
    """The names that a module gives its users: those it lists, or else those it defines."""
    listed = getattr(module, "__all__", None)
    if listed is None:
        values = {name: value for name, value in vars(module).items() if callable(value) and name[0] != "_"}
        listed = [name for name, value in values.items() if value.__module__ == module.__name__]
    return set(listed)


@pytest.mark.parametrize("title", sorted(NAMED | {"Utils"}))
def test_the_table_beside_keras_is_true(title):
    module = getattr(nn, title.lower())
    named = first_cells(section(title)[0])
    assert named and len(named) == len(set(named))
    assert [name for name in named if not hasattr(module, name)] == []


@pytest.mark.parametrize("title", ["Layers", "Losses", "Metrics", "Optimizers", "Callbacks"])
def test_the_table_beside_keras_is_complete(title):
    module = getattr(nn, title.lower())
    own = {
        name
        for name in getattr(module, "__all__", None) or vars(module)
        if inspect.isclass(value := getattr(module, name))
        and value.__name__ == name
        and value.__module__.startswith(module.__name__)
        and not name.startswith("_")
    }
    assert own - set(first_cells(section(title)[0])) == set()


SECTIONS = sorted(NAMED | {"Activations", "Initializers", "Regularizers", "Constraints", "Utils", "Saving", "Backend"})


@pytest.mark.parametrize("title", SECTIONS)
def test_every_name_of_kerass_modules_is_accounted_for(title):
    """It is here, or the page says that it is not; and the page says what there is besides."""
    module, theirs = getattr(nn, title.lower()), set(KERAS_NAMES[title.lower()].split())
    _, absent, own = section(title)
    here = {name for name in theirs if hasattr(module, name)}
    assert len(absent) == len(set(absent))
    assert theirs - here == set(absent)
    if hasattr(module, "__all__"):
        assert public_of(module) - theirs == set(own)


def test_schedules_are_kerass():
    theirs = set(KERAS_NAMES["optimizers.schedules"].split()) - {"serialize", "deserialize"}
    assert public_of(nn.optimizers.schedules) == theirs


def test_modules_that_are_not_here_are_named():
    """Keras's modules of data and of files besides, which the zoo and `model.save` stand for."""
    text = KERAS.partition("## Modules that are not here")[2]
    absent = {name for name in KERAS_NAMES if "." not in name and not hasattr(nn, name)}
    assert absent == set(re.findall(r"`keras\.(\w+)`", text))
