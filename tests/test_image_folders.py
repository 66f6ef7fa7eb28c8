"""Image files, arrays and folders of images: what is read, in which order, and what is said of files that are none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fastconv import nn as keras
from fastconv.errors import DataUnavailable, InvalidArgument

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")
utils = keras.utils


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


@pytest.fixture
def pets(tmp_path):
    """Six cats of colour 10, 11, ... and four dogs of 50, 51, ..., in files whose names are sorted so."""
    for name, first, count in (("dog", 50, 4), ("cat", 10, 6)):
        for i in range(count):
            write(tmp_path / "pets" / name / f"{name}{i}.png", np.full((5, 7, 3), first + i))
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "pets" / "cat" / ".hidden.png").write_text("no image")
    (tmp_path / "pets" / ".git").mkdir()
    return tmp_path / "pets"


def load(folder, **options):
    return utils.image_dataset_from_directory(folder, **{"verbose": False, "image_size": (5, 7), **options})


def colours(dataset):
    """The colour of each image in the order of a pass, and its label."""
    batches = list(dataset)
    return [int(v) for x, _ in batches for v in x[:, 0, 0, 0]], [v for _, y in batches for v in y.tolist()]


def test_what_comes_out(pets, capsys):
    dataset = load(pets, shuffle=False, batch_size=4, verbose=True)
    assert capsys.readouterr().out == "Found 10 files belonging to 2 classes.\n"
    assert dataset.class_names == ["cat", "dog"] and len(dataset) == 3
    assert [path.rpartition("/")[2] for path in dataset.file_paths][:2] == ["cat0.png", "cat1.png"]
    for _ in range(2):  # again and again
        assert colours(dataset) == ([10, 11, 12, 13, 14, 15, 50, 51, 52, 53], [0] * 6 + [1] * 4)
    x, y = dataset[0]
    assert x.shape == (4, 5, 7, 3) and x.dtype == np.float32 and y.dtype == np.int32
    assert dataset[-1][0].shape == (2, 5, 7, 3)
    with pytest.raises(IndexError):
        dataset[3]


def test_labels(pets):
    first = {"shuffle": False, "batch_size": 10}
    assert load(pets, label_mode="categorical", **first)[0][1].tolist() == [[1, 0]] * 6 + [[0, 1]] * 4
    binary = load(pets, label_mode="binary", **first)[0][1]
    assert binary.dtype == np.float32 and binary.tolist() == [[0]] * 6 + [[1]] * 4
    assert load(pets, label_mode=None, **first)[0].shape == (10, 5, 7, 3)
    assert load(pets, labels=None, label_mode=None, **first).class_names is None
    assert load(pets, labels=[2] * 10, **first)[0][1].tolist() == [2] * 10
    turned = load(pets, class_names=["dog", "cat"], **first)
    assert turned.class_names == ["dog", "cat"] and turned[0][1].tolist() == [0] * 4 + [1] * 6
    assert load(pets, class_names=["dog"], **first)[0][1].tolist() == [0] * 4
    single = load(pets, shuffle=False, batch_size=None)
    assert len(single) == 10 and single[7][0].shape == (5, 7, 3) and single[7][1] == 1


def test_order(pets):
    dataset = load(pets, seed=3, batch_size=3)
    first, labels = colours(dataset)
    second, _ = colours(dataset)
    assert sorted(first) == sorted(second) == [10, 11, 12, 13, 14, 15, 50, 51, 52, 53] and first != second
    assert labels == [int(colour >= 50) for colour in first]
    again = load(pets, seed=3, batch_size=3)
    assert [colours(again)[0], colours(again)[0]] == [first, second]


def test_split(pets):
    options = {"validation_split": 0.3, "seed": 5, "batch_size": 32}
    train, held_out = load(pets, subset="both", **options)
    assert (len(train.file_paths), len(held_out.file_paths)) == (7, 3)
    assert not set(train.file_paths) & set(held_out.file_paths)
    assert load(pets, subset="training", **options).file_paths == train.file_paths
    assert load(pets, subset="validation", **options).file_paths == held_out.file_paths
    order = np.arange(10)  # as Keras does it
    np.random.RandomState(5).shuffle(order)
    assert sorted(colours(held_out)[0]) == sorted((10 + i if i < 6 else 44 + i) for i in order[7:])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"label_mode": "sparse"}, "label_mode is 'sparse'"),
        ({"color_mode": "gray"}, "did you mean 'grayscale'"),
        ({"image_size": 5.5}, "image_size"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"validation_split": 0.2}, "go together"),
        ({"subset": "training"}, "go together"),
        ({"validation_split": 1.5, "subset": "training"}, "validation_split is 1.5"),
        ({"validation_split": 0.2, "subset": "train", "seed": 1}, "subset is 'train'"),
        ({"validation_split": 0.2, "subset": "training"}, "needs seed="),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, "leaves none on one side"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'"),
        ({"labels": [0, 1]}, "10 whole numbers, one for each file"),
        ({"labels": [-1] * 10}, "10 whole numbers"),
        ({"labels": "all"}, "labels is 'all'"),
        ({"class_names": ["cat", "bird"]}, "names of its folders, each once: cat, dog"),
        ({"class_names": ["cat", "cat"]}, "names of its folders"),
        ({"class_names": ["cat"], "label_mode": "binary"}, "for two classes, but there are 1"),
        ({"broken": "ignore"}, "broken is 'ignore'"),
    ],
)
def test_refused(options, text, pets):
    with pytest.raises(InvalidArgument) as caught:
        load(pets, **options)
    assert text in str(caught.value)


def test_folders_without_images(tmp_path, pets):
    for folder, text in (
        (tmp_path / "absent", "cannot be read: No such file"),
        (pets / "cat" / "cat0.png", "cannot be read: Not a directory"),
        (pets / "cat", "no folders of classes"),
    ):
        with pytest.raises(DataUnavailable, match=text):
            load(folder)
    (pets / "bird").mkdir()
    with pytest.raises(DataUnavailable, match=r"no images in bird; expected a folder for each class"):
        load(pets)
    with pytest.raises(DataUnavailable, match="holds no images"):
        load(pets / "bird", labels=None)


def test_broken_files_are_named(pets):
    good = (pets / "cat" / "cat0.png").read_bytes()
    (pets / "cat" / "bad1.jpg").write_bytes(b"")
    (pets / "dog" / "bad2.png").write_text("<html>not found</html>")
    with pytest.raises(DataUnavailable) as caught:
        load(pets)
    assert "2 of 12 files" in str(caught.value) and "cat/bad1.jpg (its content is no image)" in str(caught.value)
    assert "dog/bad2.png" in str(caught.value)
    with pytest.warns(UserWarning, match="2 of 12 files .* dog/bad2.png .* are left out"):
        dataset = load(pets, broken="skip", shuffle=False)
    assert colours(dataset)[1] == [0] * 6 + [1] * 4
    (pets / "cat" / "bad1.jpg").unlink()
    (pets / "dog" / "bad2.png").write_bytes(good[:-30])  # begins as an image does
    dataset = load(pets, shuffle=False)
    with pytest.raises(DataUnavailable, match=r"bad2\.png cannot be read as an image"):
        list(dataset)
    with pytest.warns(UserWarning, match="1 of 11 files"):
        assert len(load(pets, broken="skip").file_paths) == 10


def test_many_broken_files_make_no_long_message(tmp_path):
    for i in range(50):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{i:02d}.png").write_text("")
    with pytest.raises(DataUnavailable, match="50 of 50 .* and 47 more") as caught, warnings.catch_warnings():
        load(tmp_path, broken="skip")
    assert len(str(caught.value)) < 600


def test_colour_modes(tmp_path):
    rgba = np.arange(5 * 7 * 4, dtype=np.uint8).reshape(5, 7, 4)
    write(tmp_path / "rgba.png", rgba)
    write(tmp_path / "grey.png", rgba[..., 0])
    Image.fromarray((rgba[..., 0].astype(np.uint16) << 8) + 255).save(tmp_path / "deep.png")
    for mode, channels in (("rgb", 3), ("grayscale", 1), ("rgba", 4)):
        image = utils.load_img(tmp_path / "rgba.png", color_mode=mode)
        assert utils.img_to_array(image).shape == (5, 7, channels)
    assert np.array_equal(utils.img_to_array(utils.load_img(tmp_path / "rgba.png", "rgba")), rgba)
    share = rgba[..., 3:] / 255
    on_white = share * rgba[..., :3] + (1 - share) * 255
    assert np.abs(utils.img_to_array(utils.load_img(tmp_path / "rgba.png")) - on_white).max() <= 1
    for name in ("grey", "deep"):
        grey = utils.img_to_array(utils.load_img(tmp_path / f"{name}.png", "grayscale"))
        assert np.array_equal(grey[..., 0], rgba[..., 0])
    assert utils.img_to_array(Image.fromarray(rgba), "channels_first").shape == (4, 5, 7)


UPRIGHT = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("held", UPRIGHT)
def test_images_are_turned_as_the_camera_was_held(tmp_path, held):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = held
    picture.save(tmp_path / "turned.png", exif=exif)
    read = utils.load_img(tmp_path / "turned.png")
    assert np.array_equal(utils.img_to_array(read), UPRIGHT[held](pixels))
    assert np.array_equal(read, ImageOps.exif_transpose(Image.open(tmp_path / "turned.png")))


@pytest.mark.parametrize(
    "damaged", [b"", b"Exif\0\0garbage, garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0"]
)
def test_an_image_whose_exif_data_are_damaged_is_read(tmp_path, damaged):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=damaged)
    assert np.array_equal(utils.img_to_array(utils.load_img(tmp_path / "a.png")), pixels)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:-30])
    with pytest.raises(DataUnavailable, match="cannot be read as an image"):
        utils.load_img(tmp_path / "a.png")


def test_transparency_of_a_palette(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "palette.png", transparency=0)
    read = utils.img_to_array(utils.load_img(tmp_path / "palette.png"))
    assert np.array_equal(read, [[[255, 255, 255], [40, 50, 60]]])


def test_resizing(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    write(tmp_path / "a.png", x)
    half = utils.img_to_array(utils.load_img(tmp_path / "a.png", target_size=(4, 6), interpolation="box"))
    means = x.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - means).max() <= 1  # Pillow rounds twice
    nearest = utils.img_to_array(utils.load_img(tmp_path / "a.png", target_size=(16, 24)))
    assert np.array_equal(nearest, x.repeat(2, 0).repeat(2, 1))
    square = utils.load_img(tmp_path / "a.png", target_size=(8, 8), keep_aspect_ratio=True)
    assert np.array_equal(utils.img_to_array(square), x[:, 2:10])


def test_images_and_arrays(tmp_path):
    x = np.random.default_rng(1).integers(0, 256, (6, 5, 3)).astype(np.float32)
    assert np.array_equal(utils.img_to_array(utils.array_to_img(x, scale=False)), x)
    scaled = utils.img_to_array(utils.array_to_img(x / 1000 - 0.3))
    assert scaled.min() == 0 and scaled.max() == 255
    assert utils.array_to_img(np.full((2, 2, 1), 7.0)).getextrema() == (0, 0)
    first = x.transpose(2, 0, 1)
    assert np.array_equal(np.asarray(utils.array_to_img(first, "channels_first", False)), x)
    utils.save_img(tmp_path / "a.png", x, scale=False)
    assert np.array_equal(utils.img_to_array(utils.load_img(tmp_path / "a.png")), x)
    utils.save_img(tmp_path / "b.jpg", np.zeros((4, 4, 4)), quality=80)
    for call, text in (
        (lambda: utils.array_to_img(np.zeros((4, 4, 2))), "one, three or four channels"),
        (lambda: utils.array_to_img(np.full((4, 4, 1), np.nan)), "no finite numbers"),
        (lambda: utils.array_to_img(np.full((4, 4, 1), 300.0), scale=False), "from 300.0 to 300.0; expected 0 to 255"),
        (lambda: utils.img_to_array(np.zeros(3)), "an image"),
    ):
        with pytest.raises(InvalidArgument, match=text):
            call()
    with pytest.raises(InvalidArgument, match="cannot be written as an image: unknown file extension"):
        utils.save_img(tmp_path / "a.unknown", x)
    with pytest.raises(DataUnavailable, match="cannot be written: No such file"):
        utils.save_img(tmp_path / "absent" / "a.png", x)
    with pytest.raises(DataUnavailable, match="cannot be read as an image: No such file"):
        utils.load_img(tmp_path / "absent.png")


def test_all_images_as_arrays(pets):
    x, y = load(pets, shuffle=False).arrays()
    assert x.dtype == np.uint8 and x[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 14, 15, 50, 51, 52, 53]
    assert y.tolist() == [0] * 6 + [1] * 4
