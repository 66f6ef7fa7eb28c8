"""fastconv.image.match_template against plain float64 sums, scikit-image and OpenCV."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import fastconv as fc
from fastconv.cpu.matching import METHODS, match_scores
from fastconv.errors import InvalidArgument

MODES = ("constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap")


def oracle(x, t, method="ccoeff_normed", mask=None):
    """The definitions, window by window in extended precision."""
    x, t = x.astype(np.longdouble), t.astype(np.longdouble)
    m = np.ones(t.shape, bool) if mask is None else mask
    windows, t = sliding_window_view(x, t.shape)[..., m], t[m]
    if method.startswith("ccoeff"):
        windows, t = windows - windows.mean(-1, keepdims=True), t - t.mean()
    norms = np.sqrt((windows**2).sum(-1) * (t**2).sum())
    if method.startswith("sqdiff"):
        score = ((windows - t) ** 2).sum(-1)
        nothing = np.where(score == 0, 0, 1)
    else:
        score, nothing = (windows * t).sum(-1), np.zeros(norms.shape)
    if not method.endswith("normed"):
        return score.astype(float)
    flat = np.isclose(norms, 0, atol=1e-17)
    return np.where(flat, nothing, score / np.where(flat, 1, norms)).astype(float)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "eps"), [("f4", 1e-5), ("f8", 1e-12), ("u1", 1e-12), ("u2", 1e-12), ("i4", 1e-12)])
def test_scores_are_those_of_the_definition(dtype, eps, method, masked, rng):
    x = (rng.random((37, 45)) * 200 + 20).astype(dtype)
    t, mask = x[4:11, 20:29].copy(), rng.random((7, 9)) > 0.4
    expected = oracle(x, t, method, mask if masked else None)
    y = fc.image.match_template(x, t, method=method, mask=mask if masked else None)
    assert y.dtype == ("f4" if dtype == "f4" else "f8")
    np.testing.assert_allclose(y, expected, atol=eps * max(1, abs(expected).max()), rtol=0)
    best = np.unravel_index(y.argmin() if method.startswith("sqdiff") else y.argmax(), y.shape)
    assert best == (4, 20) or method == "ccorr"


@pytest.mark.parametrize(
    ("shape", "window"),
    [((50,), (8,)), ((9, 9), (9, 9)), ((40, 7), (33, 1)), ((12, 13, 14), (4, 3, 5)), ((6, 5), (1, 1))],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_ranks_and_windows(shape, window, dtype, rng):
    x, t = rng.random(shape).astype(dtype), rng.random(window).astype(dtype)
    y = fc.image.match_template(x, t)
    assert y.shape == tuple(n - k + 1 for n, k in zip(shape, window, strict=True))
    np.testing.assert_allclose(y, oracle(x, t), atol=1e-5 if dtype == "f4" else 1e-12)


@pytest.mark.parametrize("method", ["ccoeff_normed", "sqdiff"])
def test_several_templates_at_once(method, rng):
    x, t = rng.random((40, 50)), rng.random((5, 6, 7)) * np.array([1e-6, 1, 1e6, 0, 3])[:, None, None]
    y = fc.image.match_template(x, list(t), method=method)
    assert y.shape == (5, 35, 44)
    for one, template in zip(y, t, strict=True):
        expected = oracle(x, template, method)
        np.testing.assert_allclose(one, expected, atol=1e-12 * max(1, abs(expected).max()))


def test_flat_windows_and_constant_templates(rng):
    x = np.full((40, 40), 0.1, "f4")
    x[20:, 20:] = rng.random((20, 20))
    y = fc.image.match_template(x, rng.random((6, 6)))
    assert (y[:15, :] == 0).all()
    assert abs(y[30:, 30:]).min() > 0
    for dtype in ("f4", "f8", "u1"):
        noise = (rng.random((30, 30)) * 100).astype(dtype)
        assert (fc.image.match_template(noise, np.full((5, 5), 0.1)) == 0).all()
        assert (fc.image.match_template(np.full((30, 30), 7, dtype), noise[:5, :5]) == 0).all()
    zeros = np.zeros((9, 9))
    assert (fc.image.match_template(zeros, zeros[:3, :3], method="sqdiff_normed") == 0).all()
    assert (fc.image.match_template(zeros, zeros[:3, :3] + 1, method="sqdiff_normed") == 1).all()
    assert (fc.image.match_template(zeros, zeros[:3, :3] + 1, method="ccorr_normed") == 0).all()


@pytest.mark.parametrize(("dtype", "offset", "limit"), [("f4", 1e4, 1e-4), ("f8", 1e9, 1e-5), ("u2", 60000, 1e-12)])
@pytest.mark.parametrize("k", [5, 24])
def test_large_offsets_cost_nothing(dtype, offset, limit, k, rng):
    x = (rng.random((80, 90)) * 20 + offset).astype(dtype)
    t = x[3 : 3 + k, 50 : 50 + k].copy()
    y = fc.image.match_template(x, t)
    np.testing.assert_allclose(y, oracle(x, t), atol=limit)
    assert y[3, 50] == pytest.approx(1, abs=limit)


@pytest.mark.parametrize("k", [6, 20])
@pytest.mark.parametrize("contrast", [1e-2, 1e-3, 1e-5])
def test_faint_regions_beside_strong_ones(contrast, k, rng):
    """float32 keeps to 1e-3, also where the contrast of a window is a small part of that of its neighbours."""
    x = rng.random((120, 130)).astype("f4")
    x[:60] *= contrast
    t = x[10 : 10 + k, 10 : 10 + k].copy()
    np.testing.assert_allclose(fc.image.match_template(x, t), oracle(x, t), atol=1e-3)


def test_huge_and_non_finite_elements_reach_their_windows_alone(rng):
    x = rng.random((70, 80)).astype("f4")
    t = x[:16, :16].copy()
    clean = oracle(x, t)
    for value in (1e20, np.nan, np.inf):
        spoilt = x.copy()
        spoilt[40, 50] = value
        hit = np.zeros(clean.shape, bool)
        hit[25:41, 35:51] = True
        with np.errstate(invalid="ignore"):
            y = fc.image.match_template(spoilt, t)
        np.testing.assert_allclose(y[~hit], clean[~hit], atol=1e-5)
        assert value == 1e20 or np.isnan(y[hit]).all()


def test_blocks_do_not_show(rng):
    """More rows and columns than a block has, several planes, any number of threads: the same bits."""
    x = rng.random((3, 90, 700))
    t = rng.random((2, 5, 11))
    facts = np.array([[t.mean(), ((t - t.mean()) ** 2).sum(), 1.0]])
    scores = fc.conv3d(x[None, None], (t - t.mean())[None, None])[0]
    found = []
    for threads in (1, 2):
        with fc.threads(threads):
            y = scores.copy()
            match_scores(x, y, t.shape, facts, method="ccoeff_normed", center=0.0, flat=1e-14)
            found.append(y[0])
    assert np.array_equal(*found)
    np.testing.assert_allclose(found[0], oracle(x, t), atol=1e-12)


def test_image_and_template_stay_as_they_are(rng):
    x, t = rng.random((30, 30)), rng.random((4, 5))
    before = x.copy(), t.copy()
    y = fc.image.match_template(x[::2, ::-1], t, True)
    np.testing.assert_array_equal(y, fc.image.match_template(x[::2, ::-1].copy(), t, True))
    assert np.array_equal(x, before[0])
    assert np.array_equal(t, before[1])


@pytest.mark.parametrize("dtype", ["f8", "f4", "u1"])
@pytest.mark.parametrize("mode", MODES)
def test_as_scikit_image(mode, dtype, rng):
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is not installed")
    for shape, window in (((33, 40), (7, 8)), ((12, 11, 13), (4, 3, 2))):
        x = (rng.random(shape) * 255).astype(dtype)
        t = (rng.random(window) * 255).astype(dtype)
        for pad in (False, True):
            y, expected = (f(x, t, pad, mode, 3) for f in (fc.image.match_template, feature.match_template))
            assert y.dtype == expected.dtype
            np.testing.assert_allclose(y, expected, atol=1e-4 if dtype == "f4" else 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_as_opencv(method, rng):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    number = getattr(cv2, f"TM_{method.upper()}")
    mask = (rng.random((9, 8)) > 0.3).astype("f4")
    for dtype in ("f4", "u1"):
        x = (rng.random((60, 70)) * 255).astype(dtype)
        t = x[20:29, 30:38].copy()
        y, expected = fc.image.match_template(x, t, method=method), cv2.matchTemplate(x, t, number)
        np.testing.assert_allclose(y, expected, atol=1e-5 * abs(expected).max())
        expected = cv2.matchTemplate(x.astype("f4"), t.astype("f4"), number, mask=mask)
        y = fc.image.match_template(x, t, method=method, mask=mask)
        np.testing.assert_allclose(y, expected, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((2, 2))}, "lies within the image"),
        ({"image": np.zeros((5, 5, 5))}, "template has"),
        ({"image": np.zeros((1, 2, 3, 4))}, "image has 4 axes"),
        ({"image": np.zeros((9, 9), complex)}, "real numbers"),
        ({"template": np.zeros((0, 3))}, "not empty"),
        ({"pad_input": 1}, "True or False"),
        ({"mode": "mirror"}, "mode is 'mirror'"),
        ({"constant_values": "a"}, "constant_values is 'a'"),
        ({"method": "ncc"}, "method is 'ncc'"),
        ({"mask": np.ones((2, 3))}, "mask has shape"),
        ({"mask": np.zeros((3, 3))}, "0 everywhere"),
        ({"dtype": "float16"}, "expected None, float32 or float64"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(InvalidArgument, match=message):
        fc.image.match_template(**{"image": np.ones((9, 9)), "template": np.ones((3, 3)), **change})
