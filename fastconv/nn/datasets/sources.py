"""The data sets fastconv knows by name: their files, mirrors and published checksums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@dataclass(frozen=True)
class Source:
    """A data set on disk and on the network.

    Attributes
    ----------
    title : str
        Its name in messages.
    folder : str
        Its folder inside a data folder; the files may also lie in the data folder itself or in `more_folders`.
    forms : tuple of tuple of str
        The file names of each form the set is spread in; one complete form is enough.
    downloads : mapping
        Checksum of each file to download, as pooch writes it.
    mirrors : tuple of str
        Addresses, each ending in a slash, that serve the downloads.
    unpacked_md5 : mapping
        MD5 of each file's unpacked bytes, to notice the files of one set under the names of another.
    """

    title: str
    folder: str
    forms: tuple[tuple[str, ...], ...]
    downloads: Mapping[str, str]
    mirrors: tuple[str, ...]
    unpacked_md5: Mapping[str, str] = field(default_factory=dict)
    more_folders: tuple[str, ...] = ()


def _by_name(*values: str) -> dict[str, str]:
    return dict(zip(IDX_FILES, values, strict=True))


FASHION_MNIST = Source(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    forms=(IDX_FILES, ("fashion-mnist.npz",), ("fashion_mnist.npz",)),
    more_folders=("FashionMNIST/raw", "FashionMNIST", "raw"),
    downloads=_by_name(
        "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    unpacked_md5=_by_name(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
)

MNIST = Source(
    title="MNIST",
    folder="mnist",
    forms=(IDX_FILES, ("mnist.npz",)),
    more_folders=("MNIST/raw", "MNIST", "raw"),
    downloads=_by_name(
        "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    unpacked_md5=_by_name(
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
)

CIFAR_BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
CIFAR_PICKLES = tuple(name.removesuffix(".bin") for name in CIFAR_BATCHES)
CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"

CIFAR10 = Source(
    title="CIFAR-10",
    folder="cifar10",
    forms=(CIFAR_BATCHES, CIFAR_PICKLES, (CIFAR_ARCHIVE,), ("cifar-10-python.tar.gz",), ("cifar10.npz",)),
    downloads={CIFAR_ARCHIVE: "md5:c32a1d4ab5d03f1284b67883e8d87530"},
    mirrors=(_TORONTO,),
    more_folders=tuple(
        f"{outer}{inner}" for outer in ("", "cifar10/") for inner in ("cifar-10-batches-bin", "cifar-10-batches-py")
    ),
)

CAR_TRUCK_FILES = ("car_truck_train.bin.gz", "car_truck_test.bin.gz")
CAR_TRUCK = replace(CIFAR10, title="CIFAR-10 cars and trucks", forms=(CAR_TRUCK_FILES, *CIFAR10.forms))

CIFAR100_ARCHIVE = "cifar-100-binary.tar.gz"
CIFAR100 = Source(
    title="CIFAR-100",
    folder="cifar100",
    forms=(("train.bin", "test.bin"), ("train", "test"), (CIFAR100_ARCHIVE,), ("cifar-100-python.tar.gz",)),
    downloads={CIFAR100_ARCHIVE: "md5:03b5dce01913d631647c71ecec9e9cb8"},
    mirrors=(_TORONTO,),
    more_folders=tuple(
        f"{outer}{inner}" for outer in ("", "cifar100/") for inner in ("cifar-100-binary", "cifar-100-python")
    ),
)

# MD5 of unpacked bytes -> (set, file): what a file really is, whatever its name says.
KNOWN_CONTENT = {md5: (s.title, name) for s in (FASHION_MNIST, MNIST) for name, md5 in s.unpacked_md5.items()}
