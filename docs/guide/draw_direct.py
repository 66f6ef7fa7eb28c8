"""Draws the three pictures of how-direct-works.md: ``python docs/guide/draw_direct.py`` writes them beside it."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
INK, PALE, INPUT, WEIGHT, OUTPUT, BORDER = "#333333", "#f4f4f4", "#9ecae1", "#fdae6b", "#a1d99b", "#d9d9d9"


class Picture:
    """An SVG picture on a white ground, built from rectangles, words and arrows."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="Helvetica, Arial, sans-serif" font-size="13">',
            f"<title>{title}</title>",
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]

    def box(self, x: float, y: float, width: float, height: float, fill: str, edge: float = 1, dash: str = "") -> None:
        style = f' stroke-dasharray="{dash}"' if dash else ""
        self.lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" stroke="{INK}" '
            f'stroke-width="{edge:g}"{style}/>'
        )

    def grid(self, x: float, y: float, rows: int, cols: int, size: float, fill: str) -> None:
        for i in range(rows):
            for j in range(cols):
                self.box(x + j * size, y + i * size, size, size, fill, 0.5)

    def words(self, x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> None:
        weight = ' font-weight="bold"' if bold else ""
        self.lines.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{INK}"{weight}>{text}</text>')

    def arrow(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.lines.append(
            f'<line x1="{x0:g}" y1="{y0:g}" x2="{x1:g}" y2="{y1:g}" stroke="{INK}" stroke-width="1.5" '
            'marker-end="url(#tip)"/>'
        )

    def text(self) -> str:
        return "\n".join([*self.lines, "</svg>"]) + "\n"


def strip() -> str:
    """An output block, the input it needs with its border, and that input packed."""
    p, s = Picture(900, 310, "A strip: the input of one block of outputs"), 16
    p.words(20, 24, "1. x with its border (never made)", bold=True)
    p.grid(20, 40, 12, 14, s, BORDER)
    p.grid(20 + s, 40 + s, 10, 12, s, INPUT)
    p.box(20, 40 + 3 * s, 14 * s, 6 * s, "none", 3)
    p.words(20, 255, "Four rows of outputs of a 3x3 filter")
    p.words(20, 273, "need six rows. Grey: the border, which")
    p.words(20, 291, "a table of each axis describes.")
    p.arrow(255, 136, 305, 136)
    p.words(320, 24, "2. the strip, in the thread's scratch", bold=True)
    for i in range(6):
        for j in range(14):
            inside = 0 < j < 13
            for c in range(3):
                p.box(320 + j * 18 + c * 5, 60 + i * 20, 5, 14, INPUT if inside else BORDER, 0.4)
    p.words(320, 200, "Channels last, whatever the layout of x: the C")
    p.words(320, 218, "numbers of a pixel lie side by side, pixels follow")
    p.words(320, 236, "each other, and the border is there as zeros or")
    p.words(320, 254, "copies. Small enough for the core's own cache.")
    p.arrow(590, 136, 640, 136)
    p.words(655, 24, "3. outputs of the block", bold=True)
    p.grid(655, 72, 4, 12, 15, OUTPUT)
    p.words(655, 160, "Each row is cut into tiles of")
    p.words(655, 178, "neighbouring pixels; every tap")
    p.words(655, 196, "reads the strip at an offset")
    p.words(655, 214, "from a table.")
    return p.text()


def panel() -> str:
    """Weights as they come, and packed into panels of output channels."""
    p = Picture(900, 330, "A panel: the weights of two vectors of output channels")
    p.words(20, 24, "1. w as it comes: (O, C, KH, KW)", bold=True)
    for o in range(8):
        for c in range(4):
            p.grid(20 + c * 42, 40 + o * 30, 2, 3, 12, WEIGHT)
    p.words(20, 300, "8 filters of 4 channels, 2x3 taps")
    p.arrow(200, 150, 260, 150)
    p.words(280, 24, "2. panels: [panel][tap][channel][lane]", bold=True)
    for panel_ in range(2):
        top = 44 + panel_ * 110
        p.words(280, top + 12, f"panel {panel_}")
        for tap in range(6):
            x = 340 + tap * 84
            p.words(x + 30, top + 12, f"tap {tap}", anchor="middle")
            for c in range(4):
                for lane in range(4):
                    p.box(x + lane * 15, top + 20 + c * 14, 15, 14, WEIGHT, 0.5)
    p.words(280, 275, "A row is what two loads bring: the weights of neighbouring output channels, for one tap")
    p.words(280, 293, "and one input channel. Here a vector has two lanes; AVX-512 has 16 lanes of float32, and")
    p.words(280, 311, "a panel 32 output channels. The loop walks a panel from front to back.")
    return p.text()


def tile() -> str:
    """The register tile: broadcast inputs times vectors of weights."""
    p = Picture(900, 360, "A tile: sums in registers")
    p.words(280, 24, "one row of the panel: two vectors of weights (2 loads)", bold=True)
    for v in range(2):
        p.grid(280 + v * 170, 36, 1, 8, 20, WEIGHT)
    p.words(20, 86, "one channel of", bold=True)
    p.words(20, 103, "neighbouring pixels", bold=True)
    for i in range(7):
        y = 80 + i * 32
        p.box(180, y, 20, 20, INPUT)
        p.arrow(205, y + 10, 268, y + 10)
        for v in range(2):
            p.grid(280 + v * 170, y, 1, 8, 20, OUTPUT)
    p.words(20, 150, "each number is")
    p.words(20, 167, "copied to all lanes")
    p.words(20, 184, "by the multiply-add")
    p.words(20, 201, "that uses it")
    p.words(630, 130, "sums: pixels x output channels,")
    p.words(630, 148, "in registers from the first tap to")
    p.words(630, 166, "the last. AVX-512: 14 x 2 vectors,")
    p.words(630, 184, "28 of 32 registers; other units have")
    p.words(630, 202, "rows by the registers there are.")
    p.words(20, 330, "One step: for each input channel of each tap, every sum gets one multiply-add. A step of a full")
    p.words(
        20, 348, "tile is 28 multiply-adds for two loads of weights; its inputs come straight from the first cache."
    )
    return p.text()


PICTURES = {"strip.svg": strip, "panel.svg": panel, "tile.svg": tile}


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / name).write_text(draw(), encoding="utf-8")
