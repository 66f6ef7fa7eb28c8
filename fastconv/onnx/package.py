"""The package onnx, an optional extra: its schema of the files, and its checker."""

from __future__ import annotations

from types import ModuleType

from ..errors import MissingExtra


def onnx_package() -> ModuleType:
    """The package onnx, or what to install."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtra("ONNX files need the package onnx: pip install 'fastconv[onnx]'") from None
    return onnx
