"""The libraries fastconv is compared with: how each does a problem, at its best.

An adapter imports its library only when asked for. Everything that can be done before the call is done before it, in
the rival's favour: PyTorch gets tensors in its own types and both of its layouts, SciPy its worker threads. Those that
also pack weights before the call (`Candidate.prepared`) are compared with fastconv's plans.
"""

from __future__ import annotations

from ...errors import InvalidArgument, shown
from ...spec import parse_word
from .base import Candidate, Rival
from .graphs import jax_ways, onnxruntime_ways, openvino_ways
from .images import opencv_ways, scipy_ways
from .pytorch import onednn_ways, torch_ways

__all__ = ["RIVALS", "Candidate", "Rival", "find_rivals"]

RIVALS = {
    rival.name: rival
    for rival in (
        Rival("torch", "torch", "pip install torch", torch_ways),
        Rival("scipy", "scipy", "pip install scipy", scipy_ways),
        Rival("opencv", "cv2", "pip install opencv-python-headless", opencv_ways),
        Rival("onednn", "torch", "pip install torch", onednn_ways),
        Rival("onnxruntime", "onnxruntime", "pip install onnxruntime onnx", onnxruntime_ways, ("onnx",)),
        Rival("openvino", "openvino", "pip install openvino", openvino_ways),
        Rival("jax", "jax", "pip install jax", jax_ways),
        Rival("skimage", "skimage", "pip install scikit-image", lambda *_: "matches templates, in the suite scipy"),
        Rival("keras", "keras", "pip install keras", lambda *_: "models only: it takes part in the suite train"),
    )
}


def find_rivals(names: tuple[str, ...] | None = None) -> tuple[list[Rival], list[Rival]]:
    """The rivals of these names (default: all) that are installed, and those that are not."""
    if names is not None and not isinstance(names, (tuple, list)):
        raise InvalidArgument(f"names is {shown(names)}; expected a list of some of {', '.join(RIVALS)}")
    words = [parse_word(name, "rival", tuple(RIVALS)) for name in (RIVALS if names is None else names)]
    chosen = [RIVALS[name] for name in dict.fromkeys(words)]
    return [rival for rival in chosen if rival.installed()], [rival for rival in chosen if not rival.installed()]
