"""``fastconv show, lectures, predict, evaluate`` and the report of a training."""

import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_training import made_small

from fastconv import show
from fastconv.cli import main
from fastconv.cli.images import background, fit_image, read_pixels
from fastconv.show import examples, pages

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def fails(*words):
    """The error's line."""
    result = run(*words)
    assert result.exit_code == 2 and "Traceback" not in result.output, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training of a network of a few weights, with its pictures."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    with made_small(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastconv.show.figures.available", lambda: True)
        result = run("train", "fashion-sketch", "--epochs", 2, "--batch-size", 30, "--out", folder)
        assert result.exit_code == 0, result.output
    return folder


class Reader(html.parser.HTMLParser):
    """What a page links to and shows, and whether every element is closed."""

    def __init__(self, page):
        super().__init__()
        self.sources, self.targets, self.anchors, self.text, self.open = [], [], set(), "", []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.sources += [attributes["src"]] if "src" in attributes else []
        self.targets += [attributes["href"]] if "href" in attributes else []
        self.anchors |= {attributes.get("id")}
        if tag == "img":
            assert attributes["alt"]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


# fastconv show


def test_list_of_pictures():
    result = run("show")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(show.PICTURES)


def test_a_picture_is_a_file():
    result = run("show", "padding", "--size", 6, "--kernel", 4, "--stride", 2, "--out", "picture.svg")
    assert result.exit_code == 0 and result.stdout == "saved in picture.svg\n"
    assert show.PICTURES["padding"].caption in result.stderr
    assert Path("picture.svg").read_text().startswith("<?xml")
    for name in ("stride.png", "stride-2.png"):  # without --out nothing is replaced
        assert run("show", "stride", "--stride", "1,2", "--padding", "same").stdout == f"saved in {name}\n"
        assert Path(name).read_bytes().startswith(b"\x89PNG")


def test_receptive_fields_are_printed_too():
    result = run("show", "receptive-field", "--out", "fields.png")
    assert result.exit_code == 0
    assert re.search(r"conv2d_2 +Conv2D +3×3 +18×18 +4 +41.3 %", result.stdout)
    assert re.search(r"conv2d_2 +Conv2D +22×22 +7×7 +1 +6.25 %", result.stdout)


def test_what_show_refuses(monkeypatch):
    Path("there.png").write_text("mine")
    assert "did you mean 'feature-maps'?" in fails("show", "feature-map")
    assert "is there already" in fails("show", "padding", "--out", "there.png")
    assert "end the name with .png or .svg" in fails("show", "padding", "--out", "there.jpg")
    assert "cannot be written" in fails("show", "padding", "--out", "no/there.png")
    assert "no option 'kernel'" in fails("show", "edges", "--kernel", 3)
    assert "takes one" in fails("show", "padding", "--stride", "1,2")
    assert "leave --image out" in fails("show", "padding", "--image", "there.png")
    assert "there.png cannot be read as an image" in fails("show", "edges", "--image", "there.png")
    assert "no.png cannot be read as an image: No such file" in fails("show", "edges", "--image", "no.png")
    assert "holds no run.json" in fails("show", "filters", "--run", ".")
    assert Path("there.png").read_text() == "mine" and list(Path().iterdir()) == [Path("there.png")]
    assert run("show", "padding", "--out", "there.png", "--force").exit_code == 0
    monkeypatch.setattr("fastconv.show.figures.available", lambda: False)
    assert "pip install 'fastconv[plots]'" in fails("show", "stride")
    assert list(Path().iterdir()) == [Path("there.png")]


def test_pictures_of_a_run_and_of_an_image(trained):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (50, 70, 3), np.uint8)).save("photo.jpg")
    with made_small(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastconv.show.figures.available", lambda: True)
        for words in (
            ("edges", "--image", "photo.jpg"),
            ("filters", "--run", trained, "--most", 1),
            ("feature-maps", "--run", trained, "--image", "photo.jpg"),
            ("feature-maps", "--run", trained, "--index", 3, "--layer", "conv2d"),
            ("misclassified", "--run", trained),
            ("embeddings", "--run", trained, "--layer", "conv2d"),
            ("learning-curve", "--run", trained),
        ):
            result = run("show", *words)
            assert result.exit_code == 0 and "trained on drawn" not in result.stderr, result.output
        assert "there are 40 test images" in fails("show", "feature-maps", "--run", trained, "--index", 40)
        assert "did you mean 'conv2d'" in fails("show", "filters", "--run", trained, "--layer", "conv2b")
        result = run("show", "receptive-field", "--run", trained)
        assert re.search(r"conv2d +Conv2D +8×8 +5×5 +3 +3.19 %", result.stdout)  # 25 of 784


# fastconv lectures


def test_lectures(monkeypatch):
    monkeypatch.setattr(examples, "TRAINED_ON", 100)
    monkeypatch.setattr(examples, "TESTED_ON", 40)
    monkeypatch.setattr(examples, "EPOCHS", 1)
    few = ("padding", "receptive-field", "confusion-matrix", "misclassified")
    monkeypatch.setattr(show, "PICTURES", {name: show.PICTURES[name] for name in few})
    for cached in (examples.trained, examples.garments):
        cached.cache_clear()
    try:
        result = run("lectures", "--out", "pictures")
        assert result.exit_code == 0, result.output
        page = Reader(Path("pictures/index.html").read_text())
        assert page.sources == [f"{name}.png" for name in few]
        assert {f"#{name}" for name in few} == set(page.targets) and set(few) <= page.anchors
        assert all(Path("pictures", name).read_bytes().startswith(b"\x89PNG") for name in page.sources)
        assert "18×18" in page.text and show.PICTURES["padding"].caption in page.text
        assert "holds pictures already (index.html, padding.png" in fails("lectures", "--out", "pictures")
        before = Path("pictures/padding.png").read_bytes()
        assert run("lectures", "--out", "pictures", "--force").exit_code == 0
        assert Path("pictures/padding.png").read_bytes() == before
    finally:
        for cached in (examples.trained, examples.garments):
            cached.cache_clear()
    monkeypatch.setattr("fastconv.show.figures.available", lambda: False)
    assert "pip install 'fastconv[plots]'" in fails("lectures", "--out", "others")
    assert not Path("others").exists()


# A training's folder


def test_report_of_a_training(trained):
    page = Reader((trained / "report.html").read_text())
    record = json.loads((trained / "run.json").read_text())
    counts = np.array(record["test"]["confusion_matrix"])
    assert len(page.sources) == 4 and all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not page.targets  # it needs no other file
    assert f"{counts.trace() / counts.sum():.2%}" in page.text and f"({counts.trace()} of 40)" in page.text
    assert record["command"] in page.text and record["environment"]["versions"]["numpy"] in page.text
    assert "dropout and batch statistics on" in page.text and "Ankle boot" in page.text
    assert record["network"]["input_shape"] == [28, 28, 1] and record["network"]["background"] < 0.1
    rows = [line.split(",") for line in (trained / "class-table.csv").read_text().splitlines()]
    assert rows[0] == ["class", "precision", "recall", "f1", "support"]
    assert [int(row[4]) for row in rows[1:]] == counts.sum(axis=1).tolist()
    assert [float(row[2]) for row in rows[1:]] == pytest.approx((counts.diagonal() / counts.sum(axis=1)).tolist())


def test_pages_escape():
    page = Reader(pages.page("<a>", pages.paragraph("<script>"), pages.table([["<td>"], ["&"]]), pages.listing("<b>")))
    assert "<script>" in page.text and "<b>" in page.text and "<td>" in page.text


# fastconv evaluate and predict


def test_evaluate(trained):
    with made_small():
        result = run("evaluate", trained, "--json", "-")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        history = json.loads((trained / "history.json").read_text())
        assert found["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-5)
        assert found["accuracy"] == pytest.approx(history["val_accuracy"][-1])
        assert found["confusion_matrix"] == json.loads((trained / "run.json").read_text())["test"]["confusion_matrix"]
        text = run("evaluate", trained, "fashion-sketch").stdout.splitlines()
        right = round(40 * found["accuracy"])
        assert text[0].startswith(f"loss {found['loss']:.4f}  accuracy {found['accuracy']:.4f} ({right} of 40 images")
        assert len(text) == 12 and text[1].split() == ["class", "precision", "recall", "F1", "images"]


def test_evaluate_and_predict_refuse(trained, tmp_path):
    assert "holds no run.json: give the folder" in fails("evaluate", tmp_path)
    assert "did you mean 'fashion-sketch'" in fails("evaluate", trained, "fashion-sketc")
    assert "has 3 classes but the network" in fails("evaluate", trained, "cylinder-bell-funnel")
    (tmp_path / "run.json").write_text('{"network": {"input_shape": 5}}')
    assert "is damaged: it names no network" in fails("evaluate", tmp_path)
    (tmp_path / "run.json").write_text("{")
    assert "is damaged: it is no JSON" in fails("predict", tmp_path, "x.png")
    (tmp_path / "not.png").write_text("no image")
    assert "not.png cannot be read as an image" in fails("predict", trained, tmp_path / "not.png")


def test_evaluate_own_images(trained):
    held = examples.garments()
    for number in range(12):
        name = held.names[held.labels[number]].replace("/", "")
        Path("own", name).mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * held.images[number, ..., 0]).astype(np.uint8)).save(Path("own", name, f"{number}.png"))
    assert "is no class of the network; did you mean 'T-shirt/top'?" in fails("evaluate", trained, "own")
    for path in Path("own/T-shirttop").iterdir():
        path.unlink()
    Path("own/T-shirttop").rmdir()
    found = json.loads(run("evaluate", trained, "own", "--json", "-").stdout)
    chosen = [i for i in range(12) if held.labels[i] != 0]
    shares = model_of(trained).predict(held.images[chosen], verbose=0)
    assert found["accuracy"] == pytest.approx(np.mean(shares.argmax(axis=1) == held.labels[chosen]), abs=1e-6)
    assert sum(row["support"] for row in found["classes"]) == len(chosen)


def test_predict(trained):
    garment = examples.garments().images[3, ..., 0]
    Image.fromarray((255 * garment).round().astype(np.uint8)).save("dark.png")
    Image.fromarray(255 - (255 * garment).round().astype(np.uint8)).save("bright.png")
    with made_small():
        result = run("predict", trained, "dark.png", "bright.png", "--top", 2, "--preview")
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert lines[0] == "dark.png" and "bright.png  (inverted)" in lines
        assert all(line.endswith("%") for line in lines[1:3]) and "█" in lines[1]
        found = json.loads(run("predict", trained, "dark.png", "--top", 10, "--json", "-").stdout)
        shares = [row["probability"] for row in found[0]["classes"]]
        assert sum(shares) == pytest.approx(1, abs=1e-5) and shares == sorted(shares, reverse=True)
        expected = model_of(trained).predict(np.round(255 * garment)[None, ..., None] / np.float32(255), verbose=0)[0]
        assert shares[0] == pytest.approx(expected.max(), abs=1e-5)


def model_of(folder):
    from fastconv.cli.saved import SavedRun

    return SavedRun(folder).model


# Images as a network takes them


def test_images_are_read():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (6, 4, 3), np.uint8)
    Image.fromarray(pixels).save("colors.png")
    np.testing.assert_allclose(read_pixels(Path("colors.png")), pixels / 255, atol=1e-6)
    Image.fromarray(np.dstack([pixels, np.full((6, 4), 51, np.uint8)])).save("clear.png")  # a fifth of it is there
    np.testing.assert_allclose(read_pixels(Path("clear.png")), 0.2 * pixels / 255 + 0.8, atol=1 / 255)  # of 8 bits
    Image.fromarray(np.full((3, 3), 32768 + 128, np.uint16)).save("deep.png")
    np.testing.assert_allclose(read_pixels(Path("deep.png")), 128 / 255, atol=1e-6)
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was held upright
    picture.save("turned.png", exif=exif)
    np.testing.assert_allclose(read_pixels(Path("turned.png")), np.rot90(pixels, -1) / 255, atol=1e-6)


def test_images_are_fitted():
    rng = np.random.default_rng(2)
    image = rng.random((28, 28, 3), np.float32) * 0.3
    same, inverted = fit_image(image, (28, 28, 3), 0.1)
    assert not inverted
    np.testing.assert_allclose(same, image)
    halved, _ = fit_image(image, (14, 14, 1), None)
    weights = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(halved[..., 0], (image @ weights).reshape(14, 2, 14, 2).mean(axis=(1, 3)), atol=1e-6)
    wide, _ = fit_image(np.ones((10, 30, 3), np.float32), (20, 20, 1), 1.0)
    np.testing.assert_allclose(wide, 1, atol=1e-6)  # the border goes on
    assert fit_image(1 - image, (28, 28, 3), 0.1)[1] and not fit_image(1 - image, (28, 28, 3), 0.1, invert=False)[1]


def test_a_photographed_digit_looks_as_in_training():
    """Grey paper, lit from one side, a small stroke in a corner: becomes white on black in the middle."""
    rows, columns = np.mgrid[:300, :200]
    paper = 0.75 + 0.0004 * columns + 0.01 * np.random.default_rng(3).standard_normal((300, 200))
    ink = (np.abs(columns - 50) < 5) & (np.abs(rows - 220) < 40)
    photo = np.where(ink, 0.15, paper).astype(np.float32)
    digit, inverted = fit_image(np.repeat(photo[..., None], 3, axis=2), (28, 28, 1), 0.0)
    assert inverted and digit.shape == (28, 28, 1)
    assert digit.max() > 0.9 and np.median(digit) < 0.05 and background(digit[None]) < 0.05
    mass = digit[..., 0] / digit.sum()
    axis = np.arange(28)
    assert abs(mass.sum(axis=1) @ axis - 13.5) < 1 and abs(mass.sum(axis=0) @ axis - 13.5) < 1
    tall = np.flatnonzero(digit[..., 0].max(axis=1) > 0.5)
    assert 18 <= len(tall) <= 22  # of 28, as in MNIST


def test_without_pillow():
    code = "import sys; sys.modules['PIL'] = None; from fastconv.cli.images import read_pixels; read_pixels('x.png')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'fastconv[images]'" in done.stderr.splitlines()[-1]
