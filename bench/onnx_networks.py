"""Networks of the ONNX tests, ResNet-18 and MobileNetV2 with random weights, timed in turns with onnxruntime.

    python bench/onnx_networks.py [--batch 1,8] [--threads 2] [--seconds 4]

Results are compared first. A ratio is onnxruntime's time over ours, of the least and of the median of all repeats.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.measure.timing import interleave

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import onnx_graphs  # noqa: E402

NETWORKS = {"ResNet-18": onnx_graphs.resnet18, "MobileNetV2": onnx_graphs.mobilenet_v2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    print(
        f"{'network':<12} {'batch':>5}  {'ours min, median ms':>20}  {'onnxruntime':>16}  {'ratio':>12}  {'error':>8}"
    )
    for name, make in NETWORKS.items():
        model = make()
        ours, theirs = fc.onnx.load(model), onnx_graphs.session(model, given.threads)
        for batch in map(int, given.batch.split(",")):
            x = np.random.default_rng(batch).standard_normal((batch, 3, 224, 224), dtype=np.float32)
            with fc.threads(given.threads):
                row(f"{name:<12} {batch:>5}", lambda x=x, n=ours: n(x), lambda x=x, s=theirs: s.run(None, {"x": x})[0],
                    given.seconds)  # fmt: skip


def row(title, ours, theirs, seconds):
    """Print one line: both times, their ratios, and the greatest difference over the greatest result."""
    expected = theirs()
    error = np.abs(ours() - expected).max() / np.abs(expected).max()
    assert error < 1e-4, error
    times = interleave({"ours": ours, "theirs": theirs}, seconds)
    a, b = times["ours"], times["theirs"]
    ratios = f"{b.minimum / a.minimum:.2f} {b.median / a.median:.2f}"
    print(f"{title}  {1e3 * a.minimum:>12.2f} {1e3 * a.median:>7.2f}  {1e3 * b.minimum:>8.2f} {1e3 * b.median:>7.2f}"
          f"  {ratios:>12}  {error:>8.0e}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
