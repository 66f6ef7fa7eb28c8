"""Draws the picture of matching-and-filter-banks.md: ``python docs/guide/draw_matching.py`` writes it beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastconv as fc

HERE = Path(__file__).parent
CELL, GAP, TOP = 22, 40, 40
INK, FRAME = "#333333", "#d94801"


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A cross, once bright, once faint on a bright ground, once as a negative; and the cross."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) * 6.0
    image = np.ones((9, 13))
    image[1:4, 1:4] += cross
    image[5:8, 4:7] = 7 + cross / 3
    image[2:5, 9:12] = 7 - cross
    return image, cross


def grid(numbers: np.ndarray, x: int, title: str, shade: tuple[float, float], form: str) -> list[str]:
    """A table of numbers, the brighter the larger."""
    low, high = shade
    lines = [f'<text x="{x}" y="{TOP - 12}" fill="{INK}">{title}</text>']
    for i, row in enumerate(numbers):
        for j, value in enumerate(row):
            light = int(90 + 165 * (value - low) / (high - low))
            at, down = x + j * CELL, TOP + i * CELL
            lines.append(
                f'<rect x="{at}" y="{down}" width="{CELL}" height="{CELL}" fill="rgb({light},{light},{light})"/>'
                f'<text x="{at + CELL / 2:g}" y="{down + 14}" font-size="8" text-anchor="middle">{value:{form}}</text>'
            )
    return lines


def frame(i: int, j: int, x: int, size: tuple[int, int]) -> str:
    """A frame around some cells."""
    return (
        f'<rect x="{x + j * CELL}" y="{TOP + i * CELL}" width="{size[1] * CELL}" height="{size[0] * CELL}" '
        f'fill="none" stroke="{FRAME}" stroke-width="2"/>'
    )


def draw_matching() -> str:
    """The image, the template and the scores, the three best places by size framed."""
    image, template = scene()
    scores = fc.image.match_template(image, template).round(2) + 0
    at = GAP // 2, GAP // 2 + 3 * CELL + GAP, GAP // 2 + 16 * CELL + 2 * GAP
    width = at[2] + scores.shape[1] * CELL + GAP // 2
    height = TOP + image.shape[0] * CELL + GAP // 2
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        "<title>A template, an image and the scores of its windows</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *grid(template, at[0], "template", (0, 9), ".0f"),
        *grid(image, at[1], "image", (0, 9), ".0f"),
        *grid(scores, at[2], "scores", (-1, 1), ".1f"),
    ]
    for place in np.argsort(-np.abs(scores), axis=None, kind="stable")[:3]:
        i, j = (int(n) for n in np.unravel_index(place, scores.shape))
        lines += [frame(i, j, at[1], template.shape), frame(i, j, at[2], (1, 1))]
    return "\n".join([*lines, "</svg>"]) + "\n"


PICTURES = {"matching.svg": draw_matching}


def main() -> None:
    """Write the picture."""
    for name, draw in PICTURES.items():
        (HERE / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
