"""The table that ``model.summary()`` prints."""

from __future__ import annotations

from typing import Any


def summary_lines(model: Any, width: int = 80) -> list[str]:
    """Layers, output shapes and numbers of weights, as lines of text."""
    columns = (int(width * 0.56), int(width * 0.86))
    header = ("Layer (type)", "Output Shape", "Param #")
    lines = [f'Model: "{model.name}"', "_" * width, _row(header, columns), "=" * width]
    for layer in model.layers:
        shape = str(layer.output_shape) if layer.built else "?"
        count = f"{layer.count_params():,}" if layer.built else "? (not built)"
        lines.append(_row((f"{layer.name} ({type(layer).__name__})", shape, count), columns))
    total = model.count_params()
    trainable = sum(w.size for w in model.trainable_weights)
    lines += [
        "=" * width,
        f"Total params: {total:,} ({_memory(4 * total)})",
        f"Trainable params: {trainable:,} ({_memory(4 * trainable)})",
        f"Non-trainable params: {total - trainable:,} ({_memory(4 * (total - trainable))})",
        "_" * width,
    ]
    return lines


def _row(cells: tuple[str, str, str], columns: tuple[int, int]) -> str:
    line = cells[0][: columns[0] - 1].ljust(columns[0])
    return (line + cells[1]).ljust(columns[1] - 1) + " " + cells[2]


def _memory(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024 or unit == "MiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
