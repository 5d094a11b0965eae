"""The data sets there are. No torch: the API asks here what exists, what is on this machine, and what can be had."""

from __future__ import annotations

from math import prod

from app.datasets.dataset_spec import DataFile, DatasetSpec, Download, TorchvisionClass
from app.datasets.download import check_mirrors
from app.datasets.locations import cached, locate, placing_advice
from app.errors import DatasetNotFound, DatasetUnavailable
from app.settings import Settings

_DIGITS = tuple("0123456789")
# fmt: off
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)
# fmt: on
_IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_IDX_SHAPES = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))


def _like_mnist(
    name: str,
    description: str,
    torchvision_class: TorchvisionClass,
    classes: tuple[str, ...],
    *,
    mirror: str,
    md5s: tuple[str, ...],
    digests: tuple[str | None, ...] = (None,) * 4,
    bundled: bool = False,
) -> DatasetSpec:
    files = [DataFile(*known) for known in zip(_IDX_NAMES, _IDX_SHAPES, digests, strict=True)]
    downloads = [
        Download(f"{file.name}.gz", f"{mirror}{file.name}.gz", md5, prod(shape) + 4096)
        for file, shape, md5 in zip(files, _IDX_SHAPES, md5s, strict=True)
    ]
    return DatasetSpec(
        name=name,
        description=description,
        torchvision_class=torchvision_class,
        input_shape=(1, 28, 28),
        classes=classes,
        num_train=60_000,
        num_test=10_000,
        folder=f"{torchvision_class}/raw",
        files=tuple(files),
        downloads=tuple(downloads),
        bundled=bundled,
    )


_SPECS = (
    _like_mnist(
        "mnist",
        "Handwritten digits, 28 x 28 grey; bundled. Yann LeCun and Corinna Cortes, CC BY-SA 3.0.",
        "MNIST",
        _DIGITS,
        mirror="https://ossci-datasets.s3.amazonaws.com/mnist/",
        md5s=(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        digests=(
            "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        bundled=True,
    ),
    _like_mnist(
        "fashion_mnist",
        "Pictures of clothes, 28 x 28 grey. Zalando Research, MIT licence.",
        "FashionMNIST",
        _FASHION,
        mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        md5s=(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        digests=(
            "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    _like_mnist(
        "kmnist",
        "Handwritten cursive Japanese (Kuzushiji), 28 x 28 grey. ROIS-DS Center for Open Data in the Humanities, CC BY-SA 4.0.",
        "KMNIST",
        _KUZUSHIJI,
        mirror="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        md5s=(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
    DatasetSpec(
        name="emnist_digits",
        description="Handwritten digits of 280,000 scans, 28 x 28 grey, turned upright. NIST; Cohen et al. 2017.",
        torchvision_class="EMNIST",
        input_shape=(1, 28, 28),
        classes=_DIGITS,
        num_train=240_000,
        num_test=40_000,
        folder="EMNIST/raw",
        files=(
            DataFile("emnist-digits-train-images-idx3-ubyte", (240_000, 28, 28), None),
            DataFile("emnist-digits-train-labels-idx1-ubyte", (240_000,), None),
            DataFile("emnist-digits-test-images-idx3-ubyte", (40_000, 28, 28), None),
            DataFile("emnist-digits-test-labels-idx1-ubyte", (40_000,), None),
        ),
        downloads=(
            Download(
                "gzip.zip",
                "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
                "58c8d27c78d21e728a6bc7b3cc06412e",
                2**30,
            ),
        ),
        archive_member="gzip/{name}.gz",
    ),
    DatasetSpec(
        name="cifar10",
        description="Photographs of vehicles and animals, 32 x 32 colour. Alex Krizhevsky 2009.",
        torchvision_class="CIFAR10",
        input_shape=(3, 32, 32),
        classes=_CIFAR10,
        num_train=50_000,
        num_test=10_000,
        folder="cifar-10-batches-py",
        files=(
            DataFile("data_batch_1", None, "md5:c99cafc152244af753f735de768cd75f"),
            DataFile("data_batch_2", None, "md5:d4bba439e000b95fd0a9bffe97cbabec"),
            DataFile("data_batch_3", None, "md5:54ebc095f3ab1f0389bbae665268c751"),
            DataFile("data_batch_4", None, "md5:634d18415352ddfa80567beed471001a"),
            DataFile("data_batch_5", None, "md5:482c414d41f54cd18b22e5b47cb7c3cb"),
            DataFile("test_batch", None, "md5:40351d587109b95175f43aff81a1287e"),
            DataFile("batches.meta", None, "md5:5ff9c542aee3614f3951f8cda6e48888"),
        ),
        downloads=(
            Download(
                "cifar-10-python.tar.gz",
                "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                "c58f30108f718f92721af3b95e74349a",
                2**28,
            ),
        ),
        archive_member="cifar-10-batches-py/{name}",
    ),
    DatasetSpec(
        name="cifar100",
        description="Photographs of a hundred kinds of things, 32 x 32 colour. Alex Krizhevsky 2009.",
        torchvision_class="CIFAR100",
        input_shape=(3, 32, 32),
        classes=_CIFAR100,
        num_train=50_000,
        num_test=10_000,
        folder="cifar-100-python",
        files=(
            DataFile("train", None, "md5:16019d7e3df5f24257cddd939b257f8d"),
            DataFile("test", None, "md5:f0ef6b0ae62326f3e7ffdfab6717acfc"),
            DataFile("meta", None, "md5:7973b15100ade9c7d40fb424638fde48"),
        ),
        downloads=(
            Download(
                "cifar-100-python.tar.gz",
                "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                "eb9058c3a382ffc7106e4002c42a8d85",
                2**28,
            ),
        ),
        archive_member="cifar-100-python/{name}",
    ),
)
CATALOGUE: dict[str, DatasetSpec] = {spec.name: spec for spec in _SPECS}


def find(name: str) -> DatasetSpec:
    """The data set of this name; raises DatasetNotFound, listing the names there are."""
    if name not in CATALOGUE:
        raise DatasetNotFound(f"There is no data set {name!r}; there are {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def is_available(spec: DatasetSpec, settings: Settings) -> bool:
    """Whether the data set's files are on this machine; whether their content is sound shows when they are read."""
    return cached(spec, settings) is not None or locate(spec, settings) is not None


def ensure_obtainable(spec: DatasetSpec, settings: Settings) -> None:
    """Raise DatasetUnavailable unless the files are here or a mirror offers them now; decided within about 5 seconds."""
    if is_available(spec, settings):
        return
    if not settings.download:
        raise DatasetUnavailable(
            f"The files of {spec.name} are not here, and FORGETTERY_DOWNLOAD forbids to download them. "
            f"{placing_advice(spec, settings)}"
        )
    check_mirrors(spec, placing_advice(spec, settings))
