"""ONNX: convolution networks out of files of other frameworks, run on fastconv's kernels, and files for them.

`load` reads a network (`graph`), makes it simpler (`simplify`), and runs it (`model`): for each shape of the input the
nodes are gone through once (`program`), and what serves each (`operators`) packs its weights then. `writing` is what
`fastconv.nn`'s models are exported with. The package `onnx` is needed for both: ``pip install 'fastconv[onnx]'``.
"""

from .model import Model, Port
from .reading import load

__all__ = ["Model", "Port", "load"]
