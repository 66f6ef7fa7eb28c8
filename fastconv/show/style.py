"""The one look of all pictures: fonts, and colours that differ in brightness too, so that they do in grey.

The colours are those of Okabe and Ito (2008), which people with any of the common colour deficiencies tell apart.
"""

from __future__ import annotations

from typing import Any

BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER = "#0b62a4", "#cc5a10", "#118a63", "#a1477e", "#56b4e9", "#e69f00"
INK, GREY, PALE, FAINT = "#202124", "#5f6368", "#e4e6e8", "#f6f7f8"
TRAINING, TEST = BLUE, ORANGE
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, INK, "#8c6d31", "#6b7fd7", "#9aa0a6")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")  # with SERIES: classes are told apart without colours
TINTS = ("#d6e6f4", "#fbe3d0", "#d3eee4", "#f0dbe7", "#e3f2fc", "#fbedcc", "#e8eaed", "#eee6d3", "#dfe3f8")
SHADES = "Blues"  # of shares: the darker, the more
LIGHT = "gray"  # of images and of signed numbers: black is the least, white the most
DOTS = 150  # per inch, of PNG files

SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters everywhere
    "font.size": 10,
    "mathtext.fontset": "dejavusans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "grid.color": PALE,
    "legend.frameon": False,
    "image.cmap": LIGHT,
    "image.interpolation": "nearest",
    "svg.hashsalt": "fastconv",  # the same picture is the same file
}
