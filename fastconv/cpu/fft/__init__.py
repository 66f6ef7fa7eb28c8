"""Method "fft": convolution and its gradients by tiled Fourier transforms (overlap-save), on a transform of our own.

Input and filters are cut into tiles and transformed; frequency by frequency the channels are multiplied and summed; of
each tile transformed back, the positions that no wrapped-around tap has reached are the result:

    Y[t, f, o] = sum over c of X[t, f, c] * conj(W[f, c, o])          conv, and conv_input_grad with flipped taps
    DW[f, c, o] = sum over t of X[t, f, c] * conj(DY[t, f, o])        conv_weight_grad

Stride and dilation become phases, so nothing is computed only to be thrown away; padding modes are index tables, so
nothing is padded (`lattice`). Two kinds of tiles serve all problems, the cheaper is taken (`operators.tiling`):

=========  =====================  =================================  ==========================================
module     lanes of a transform   product                            for
=========  =====================  =================================  ==========================================
planes     columns, then rows     lane by lane                       few channels, depthwise, long signals
channels   channels               the micro-kernel, half a spectrum  many channels
=========  =====================  =================================  ==========================================

Cost: about 2.5 log2(T) flops per real point of the tiles (T points each) and channel, there and back each; and 8 flops
per frequency and pair of channels, at half of the T frequencies for many channels.
Extra memory: at most ``settings.scratch_bytes`` (see `planes` and `channels`), as long as one tile of one channel fits;
what a plan keeps (`prepare`) takes 8 bytes (float32) for each frequency kept and pair of channels.
Error: each number is off by at most about eps * log2(T) * ||x|| * ||w||, norms over its tile and its filter: small
results beside large ones in the same tile lose digits, and one NaN or Inf spoils its whole tile. Two tiles (planes), or
two blocks of channels and of filters (channels), travel as one: the norms are those of both. Sums of a whole tile must
not leave the dtype's range. Typically the error relative to the largest result is below eps * log2(T), about 3e-7 in
float32.
The same bits come out for any number of threads.

Source: Vasilache et al., "Fast Convolutional Nets With fbfft" (2015); Oppenheim & Schafer, "Discrete-Time Signal
Processing", section 8.7.3 (overlap-save); Zlateski, Jia, Li & Durand, "The Anatomy of Efficient FFT and Winograd
Convolutions on Modern CPUs" (2019).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...problem import ConvProblem


def supports(problem: ConvProblem) -> str | None:
    """Why the method cannot serve a problem, or None."""
    return None if problem.taps > 1 else "a filter of one tap gains nothing from a Fourier transform"


def __getattr__(name: str) -> Any:  # the kernels are imported where a problem is large enough to plan a transform
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.operators"), name)
