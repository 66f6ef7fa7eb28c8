"""Pages in HTML that need nothing else: one style, pictures linked or embedded, tables."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #202124; background: #fff; margin: 0 auto;
  max-width: 62rem; padding: 1.5rem; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid #e4e6e8; padding-bottom: .2rem; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
figure { margin: .5rem 0 1.5rem; }
img { max-width: 100%; height: auto; border: 1px solid #e4e6e8; border-radius: 4px; }
figcaption, .note { color: #5f6368; font-size: .92rem; max-width: 46rem; }
table { border-collapse: collapse; font-size: .92rem; margin: .5rem 0 1rem; }
th, td { padding: .22rem .8rem .22rem 0; text-align: right; border-bottom: 1px solid #e4e6e8; vertical-align: top; }
th { color: #5f6368; font-weight: 600; }
th:first-child, td:first-child, table.facts td { text-align: left; }
code, pre { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: .88rem; background: #f6f7f8; }
pre { padding: .7rem .9rem; overflow-x: auto; border-radius: 4px; }
nav { columns: 2; font-size: .95rem; } nav a { display: block; color: #0b62a4; }
.figures { display: flex; gap: 2.5rem; flex-wrap: wrap; margin: 1rem 0; }
.figures b { display: block; font-size: 1.6rem; font-weight: 600; }
"""


def page(title: str, *parts: str) -> str:
    """A whole page of parts in HTML.

    >>> page("A & B", "<p>text</p>").splitlines()[-4:]
    ['<h1>A &amp; B</h1>', '<p>text</p>', '</body>', '</html>']
    """
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>"
    )
    return "\n".join([head, *parts, "</body>", "</html>", ""])


def heading(text: str, level: int = 2, anchor: str = "") -> str:
    """A heading, which a link may lead to."""
    mark = f' id="{escape(anchor)}"' if anchor else ""
    return f"<h{level}{mark}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{escape(kind)}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def listing(text: str) -> str:
    """Lines as they are, such as a command."""
    return f"<pre>{escape(text)}</pre>"


def links(pairs: Iterable[tuple[str, str]]) -> str:
    """Links (address, text) one below the other."""
    return "<nav>" + "\n".join(f'<a href="{escape(to)}">{escape(text)}</a>' for to, text in pairs) + "</nav>"


def picture(source: str, words: str, caption: str = "") -> str:
    """A picture of an address, with words for those who do not see it."""
    below = f"\n<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{escape(source)}" alt="{escape(words)}">{below}</figure>'


def embedded(png: bytes) -> str:
    """The address of a PNG picture that the page itself holds."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def table(rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Rows of text, the first the head; without a head for the kind "facts", pairs of a name and a value."""
    head, body = ([], rows) if kind == "facts" else (rows[:1], rows[1:])
    lines = [f'<table class="{escape(kind)}">' if kind else "<table>"]
    lines += ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in row) + "</tr>" for row in head]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "\n".join([*lines, "</table>"])


def figures(pairs: Iterable[tuple[str, str]]) -> str:
    """A few large numbers with what they are, (number, words)."""
    boxes = "".join(f"<div><b>{escape(number)}</b>{escape(words)}</div>" for number, words in pairs)
    return f'<div class="figures">{boxes}</div>'
