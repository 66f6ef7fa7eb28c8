"""Whether float32 products may be rounded to TF32 on GPUs; one setting per process, as frameworks have it."""

from __future__ import annotations

from types import TracebackType

_allowed = False


class _Before:
    """What `allow_tf32` returns: leaving a ``with`` block on it brings the setting before back."""

    def __init__(self, before: bool) -> None:
        self.before = before

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        global _allowed
        _allowed = self.before


def allow_tf32(allowed: bool = True) -> _Before:
    """Allow convolutions and products of float32 arrays on CUDA to multiply in TF32, on tensor cores; off unless asked.

    Factors are rounded to 11 significant bits (8 bits of exponent, as float32), products are exact and added in
    float32. It holds for `matmul` and for method "im2col" ("auto" where it takes it) of convolutions and both their
    gradients on GPUs from sm_80 on; everything else computes as before.

    Parameters
    ----------
    allowed : bool
        Allow it, or forbid it again.

    Returns
    -------
    context manager
        For ``with fc.allow_tf32(True):``, which brings the setting before back at its end. Called as a plain function,
        the setting stays. It is one for the whole process: do not change it in one thread while another computes.

    Notes
    -----
    Error against exact arithmetic: below (2**-10 + 2**-22 + terms * eps) * (|x| * |w|), terms = C/groups*KD*KH*KW (of a
    weight gradient N*OD*OH*OW), eps = 2**-22 as tensor cores truncate sums. NaN and Inf stay what they are.

    Examples
    --------
    >>> import fastconv as fc
    >>> with fc.allow_tf32(True):
    ...     pass  # fc.conv2d(x, w, device="cuda")
    """
    global _allowed
    from .spec import parse_flag  # here, for importing fastconv shall not import NumPy

    before, _allowed = _allowed, parse_flag(allowed, "allowed")
    return _Before(before)


def tf32_allowed() -> bool:
    """True while TF32 may be used."""
    return _allowed
