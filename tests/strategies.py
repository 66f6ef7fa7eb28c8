"""Hypothesis strategies: legal convolution problems of every kind, small enough to compute in a millisecond."""

import naive
from cases import Case
from hypothesis import strategies as st

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
METHODS = ("direct", "im2col", "fft")


@st.composite
def conv_cases(draw, max_rank=3, padding_modes=naive.MODES):
    """A `Case` of any rank, with any stride, padding, dilation, groups and padding mode."""
    rank = draw(st.integers(1, max_rank))
    most = {1: 40, 2: 12, 3: 6}[rank]
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    inner, outer = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    axis = st.tuples(
        st.integers(1, most),  # size
        st.integers(1, {1: 9, 2: 5, 3: 3}[rank]),  # kernel
        st.integers(1, 4),  # stride
        st.integers(1, 3),  # dilation
        st.tuples(st.integers(0, 5), st.integers(0, 5)),
    )
    axes = [draw(axis) for _ in range(rank)]
    mode = draw(st.sampled_from(padding_modes))
    same = draw(st.integers(0, 4)) == 0
    size, kernel, stride, dilation, padding = [], [], [], [], []
    for n, k, s, d, (before, after) in axes:
        if not same:
            after = max(after, d * (k - 1) + 1 - n - before)
        size.append(n)
        kernel.append(k)
        stride.append(s)
        dilation.append(d)
        padding.append((before, after))
    options = {
        "stride": tuple(stride),
        "dilation": tuple(dilation),
        "padding": "same" if same else tuple(padding),
        "padding_mode": mode,
        "groups": groups,
    }
    N = draw(st.integers(1, 3))
    return Case("drawn", (N, inner * groups, *size), (outer * groups, inner, *kernel), options)


seeds = st.integers(0, 2**32 - 1)
channels_last = st.booleans()
