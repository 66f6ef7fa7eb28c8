"""The site that `make docs` builds: these pages, the API from its docstrings, and the gallery, whose pages run."""

from __future__ import annotations

import sys
from pathlib import Path

import fastconv

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import pictures  # noqa: E402
from public_names import BASES, documented, groups  # noqa: E402

project = "fastconv"
version = release = fastconv.__version__
copyright = "the fastconv contributors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "beyond_docs",
    "public_names",
]
exclude_patterns = ["_build", "lectures", "gallery/*.ipynb", "gallery/*.py"]
templates_path = ["_templates"]
nitpicky = True
#: Names in single backticks are links where they can be; else they are the arguments and arrays of a docstring.
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # a name in backticks that several classes have
nitpick_ignore_regex = [("py:obj", ".*")]

# Pages: the same Markdown that GitHub shows.
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

# API
autosummary_generate = True
autosummary_context = {"groups": {module: groups(module) for module in documented()}, "bases": BASES}
autodoc_typehints = "none"  # numpydoc says the types, in words
autodoc_member_order = "groupwise"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_class_members_toctree = False

# Gallery: programs of docs/lectures, and a page for each picture of fastconv.show
pictures.write(Path(__file__).parent / "lectures")
sphinx_gallery_conf = {
    "examples_dirs": "lectures",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("matplotlib", "pictures"),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "matplotlib_animations": False,
    "min_reported_time": 0.5,
}

# Looks
html_theme = "pydata_sphinx_theme"
html_title = "fastconv"
html_static_path = ["_static"]
html_css_files = ["fastconv.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "changelog": [], "contributing": []}
