"""Pictures of graphs by matplotlib: rows from the operands above to the result below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra

if TYPE_CHECKING:
    from .graph import Graph

COLORS = {
    "operation": ("#e8f0fb", "#1f6fb4", "-"),
    "leaf": ("#fdf0e3", "#d1662b", "-"),
    "constant": ("#f6f7f8", "#5f6368", "--"),
    "result": ("#e6f4ea", "#2d7d46", "-"),
}
ROW, HEIGHT, GAP, LETTER = 0.85, 0.46, 0.3, 0.085  # inches: from row to row, of a box, between two, of a letter
SWEEPS = 8


def is_available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def picture(graph: Graph, form: str) -> bytes:
    """A graph as a file of a format that matplotlib writes."""
    if not is_available():
        raise MissingExtra("drawing a graph needs matplotlib: pip install 'fastconv[plots]'; save it as .dot without")
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    widths = [max(0.8, LETTER * max(map(len, v.lines)) + 0.24) for v in graph.vertices]
    places, ways = arranged(widths, graph.edges)
    left = min(x - w / 2 for (x, _), w in zip(places, widths, strict=True))
    right = max(x + w / 2 for (x, _), w in zip(places, widths, strict=True))
    top = max(y for _, y in places)
    margin = 0.2
    with mpl.rc_context({"svg.hashsalt": "fastconv", "font.size": 9}):
        figure = Figure(figsize=(right - left + 2 * margin, top + HEIGHT + 2 * margin))
        FigureCanvasAgg(figure)  # no window, whatever backend the user's settings name
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(left - margin, right + margin)
        axes.set_ylim(-HEIGHT / 2 - margin, top + HEIGHT / 2 + margin)
        axes.axis("off")
        for way in ways:
            _draw_edge(axes, way)
        for vertex, place, width in zip(graph.vertices, places, widths, strict=True):
            _draw_vertex(axes, vertex.lines, COLORS[vertex.kind], place, width)
        file = io.BytesIO()
        figure.savefig(file, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def _draw_vertex(axes: Any, lines: Sequence[str], style: tuple[str, str, str], place: Any, width: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    face, edge, line = style
    corner = (x - width / 2 + 0.06, y - HEIGHT / 2 + 0.06)
    shape = f"round,pad=0.06,rounding_size={0.1 if line == '-' and face != COLORS['leaf'][0] else 0.02}"
    box = FancyBboxPatch(
        corner, width - 0.12, HEIGHT - 0.12, boxstyle=shape, facecolor=face, edgecolor=edge, linestyle=line, lw=1.1
    )
    axes.add_patch(box)
    axes.text(x, y + (0.085 if lines[1:] else 0), lines[0], ha="center", va="center", color="#202124")
    axes.text(x, y - 0.1, "\n".join(lines[1:]), ha="center", va="center", color="#5f6368", fontsize=8)


def _draw_edge(axes: Any, way: list[tuple[float, float]]) -> None:
    """A line from the lower side of an operand, by the points on its way, to the upper side of the operation."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    points = [(way[0][0], way[0][1] - HEIGHT / 2), *way[1:-1], (way[-1][0], way[-1][1] + HEIGHT / 2)]
    vertices, codes = [points[0]], [Path.MOVETO]
    for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True):
        middle = (y0 + y1) / 2  # the line leaves and arrives upright
        vertices += [(x0, middle), (x1, middle), (x1, y1)]
        codes += [Path.CURVE4] * 3
    arrow = FancyArrowPatch(
        path=Path(vertices, codes), arrowstyle="-|>,head_length=4,head_width=2", color="#80868b", lw=1.0
    )
    axes.add_patch(arrow)


def arranged(
    widths: Sequence[float], edges: Sequence[tuple[int, int]]
) -> tuple[list[tuple[float, float]], list[list[tuple[float, float]]]]:
    """Where vertices stand, and the points by which each edge goes (Sugiyama's way: rows, order, places)."""
    rows = _rows(len(widths), edges)
    sizes = list(widths)
    chains: list[list[int]] = []
    for a, b in edges:  # an edge that passes rows has a place in each
        chain = [a]
        for row in range(rows[a] - 1, rows[b], -1):
            chain.append(len(sizes))
            sizes.append(0.1)
            rows.append(row)
        chains.append([*chain, b])
    near: list[list[int]] = [[] for _ in sizes]
    for chain in chains:
        for a, b in zip(chain[:-1], chain[1:], strict=True):
            near[a].append(b)
            near[b].append(a)
    order = [[v for v in range(len(sizes)) if rows[v] == row] for row in range(max(rows) + 1)]
    x = [0.0] * len(sizes)
    for line in order:
        _spread(line, sizes, x)
    for sweep in range(SWEEPS):
        for line in order if sweep % 2 else order[::-1]:
            wish = {v: sum(x[n] for n in near[v]) / len(near[v]) if near[v] else x[v] for v in line}
            line.sort(key=wish.__getitem__)
            for v in line:
                x[v] = wish[v]
            _spread(line, sizes, x)
    places = [(x[v], rows[v] * ROW) for v in range(len(sizes))]
    return places[: len(widths)], [[places[v] for v in chain] for chain in chains]


def _rows(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from each vertex to the result."""
    below: list[list[int]] = [[] for _ in range(count)]
    missing = [0] * count
    for a, b in edges:
        below[b].append(a)
        missing[a] += 1
    rows, ready = [0] * count, [v for v in range(count) if not missing[v]]
    while ready:
        b = ready.pop()
        for a in below[b]:
            rows[a] = max(rows[a], rows[b] + 1)
            missing[a] -= 1
            if not missing[a]:
                ready.append(a)
    return rows


def _spread(row: list[int], sizes: list[float], x: list[float]) -> None:
    """Push the vertices of a row apart, as little as may be: half of the way to the right, half to the left."""
    right, left = [x[v] for v in row], [x[v] for v in row]
    for i in range(1, len(row)):
        right[i] = max(right[i], right[i - 1] + (sizes[row[i - 1]] + sizes[row[i]]) / 2 + GAP)
    for i in range(len(row) - 2, -1, -1):
        left[i] = min(left[i], left[i + 1] - (sizes[row[i + 1]] + sizes[row[i]]) / 2 - GAP)
    for v, a, b in zip(row, right, left, strict=True):
        x[v] = (a + b) / 2
