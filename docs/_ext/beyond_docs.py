"""Links of the Markdown pages, which are right on GitHub, made right on the site.

A program of the gallery is a page there; a file of the repository outside of docs is a download.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINK = re.compile(r"\[([^\]]+)\]\(([^):#]+)\)")
#: Files that have a page on the site: path below the repository -> page below docs.
PAGES = {
    "docs/lectures/README.rst": "gallery/index.rst",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def rewrite(app: Sphinx, docname: str, content: list[str]) -> None:
    """Rewrite the links in the text of a page before it is parsed."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return
    docs = Path(app.srcdir).resolve()
    up = "../" * docname.count("/")

    def rewritten(match: re.Match[str]) -> str:
        words, link = match.groups()
        target = (page.parent / link).resolve()
        if not target.is_file() or not target.is_relative_to(docs.parent):
            return match[0]
        name = target.relative_to(docs.parent).as_posix()
        if name in PAGES:
            return f"[{words}]({up}{PAGES[name]})"
        if target.parent == docs / "lectures":
            return f"[{words}]({up}gallery/{target.stem}.rst)"
        if target.is_relative_to(docs):
            return match[0]
        return f"{{download}}`{words.strip('`')} <{link}>`"

    content[0] = LINK.sub(rewritten, content[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
