"""Image files of one's own: small fake ones, as they should be, missing, and damaged."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from jkoflow.networks import images
from jkoflow.networks.images import DamagedData, MissingData
from jkoflow.status import InvalidProblem

RNG = np.random.default_rng(0)
IMAGES = {"train": RNG.integers(0, 256, (30, 28, 28)), "t10k": RNG.integers(0, 256, (10, 28, 28))}
LABELS = {"train": np.arange(30) % 10, "t10k": np.arange(10)}


def idx(array, magic=None):
    a = np.asarray(array, dtype=np.uint8)
    head = struct.pack(f">I{a.ndim}I", (0x800 + a.ndim) if magic is None else magic, *a.shape)
    return head + a.tobytes()


@pytest.fixture
def folder(tmp_path):
    for part in ("train", "t10k"):
        write(tmp_path / f"{part}-images-idx3-ubyte.gz", idx(IMAGES[part]))
        write(tmp_path / f"{part}-labels-idx1-ubyte.gz", idx(LABELS[part]))
    return tmp_path


def write(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def cifar(tmp_path):
    for k, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        rows = np.random.default_rng(k).integers(0, 256, (4, 3073), dtype=np.uint8)
        rows[:, 0] = [0, 3, 7, 9]
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    return tmp_path


def test_fashion_mnist_from_a_folder(folder):
    data = images.fashion_mnist(folder=folder, bias=False)
    assert data.x.shape == (30, 784) and data.x_test.shape == (10, 784)
    assert (data.y == LABELS["train"]).all() and (data.y_test == LABELS["t10k"]).all()
    raw = IMAGES["train"].reshape(30, -1).astype(float)
    centred = raw - raw.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=1).mean())
    assert data.x == pytest.approx(centred / size, abs=1e-13)
    test = (IMAGES["t10k"].reshape(10, -1) - raw.mean(axis=0)) / size
    assert data.x_test == pytest.approx(test, abs=1e-13)


def test_groups_rows_and_bias(folder):
    data = images.mnist(folder, ((1, 2), (5,)), rows=20)
    assert data.x.shape == (6, 785) and (data.x[:, -1] == 1).all()
    assert sorted(data.y) == [-1] * 4 + [1] * 2 and len(data.y_test) == 3
    assert set(images.mnist(folder).y) == {-1.0, 1.0}


def test_files_without_gz(folder):
    packed = folder / "train-images-idx3-ubyte.gz"
    (folder / "train-images-idx3-ubyte").write_bytes(gzip.decompress(packed.read_bytes()))
    before = images.mnist(folder)
    packed.unlink()
    assert (images.mnist(folder).x == before.x).all()


@pytest.mark.parametrize(
    "content",
    [
        idx(IMAGES["train"])[:-1],
        idx(IMAGES["train"]) + b"x",
        idx(IMAGES["train"], magic=0x801),
        idx(IMAGES["train"], magic=0xD03),
        idx(IMAGES["train"])[:9],
        idx(IMAGES["train"])[:2],
        b"",
        struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 28),
        idx(IMAGES["train"][:29]),
    ],
    ids=["short", "long", "magic", "type", "header", "nothing", "empty", "huge", "one less"],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_images(folder, content, suffix):
    (folder / "train-images-idx3-ubyte.gz").unlink()
    write(folder / f"train-images-idx3-ubyte{suffix}", content)
    with pytest.raises(DamagedData, match="anew"):
        images.mnist(folder)


def test_damaged_compression(folder):
    path = folder / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    turned = bytearray(whole)
    turned[len(whole) // 2] ^= 0xFF
    for content in (whole[:-20], b"no gzip at all", bytes(turned)):
        path.write_bytes(content)
        with pytest.raises(DamagedData, match="t10k-images"):
            images.fashion_mnist(folder=folder)


def test_labels_that_are_no_classes(folder):
    write(folder / "train-labels-idx1-ubyte.gz", idx(np.full(30, 10)))
    with pytest.raises(DamagedData, match="label"):
        images.mnist(folder)


def test_test_images_of_another_size(folder):
    write(folder / "t10k-images-idx3-ubyte.gz", idx(np.ones((10, 8, 8))))
    with pytest.raises(DamagedData, match="size"):
        images.mnist(folder)


def test_images_that_are_all_the_same(folder):
    write(folder / "train-images-idx3-ubyte.gz", idx(np.ones((30, 28, 28))))
    with pytest.raises(DamagedData, match="same"):
        images.mnist(folder)


def test_missing_files_say_how_to_get_them(folder, monkeypatch):
    with pytest.raises(MissingData, match="dataset-fashion-mnist"):
        images.fashion_mnist(folder=folder / "nowhere")
    with pytest.raises(MissingData, match="copy of MNIST"):
        images.mnist(folder / "nowhere")
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingData, match="train-labels"):
        images.mnist(folder)
    monkeypatch.setattr(images, "DEBIAN", str(folder / "nowhere"))
    assert not images.found_fashion_mnist()


def test_cifar10(cifar):
    data = images.cifar10(cifar, bias=False)
    assert data.x.shape == (20, 3072) and data.x_test.shape == (4, 3072)
    assert data.y.tolist() == [0, 3, 7, 9] * 5
    # the first pixel's three colours are the first bytes of the three planes
    raw = np.frombuffer((cifar / "test_batch.bin").read_bytes(), np.uint8).reshape(4, 3073)
    train = np.concatenate([
        np.frombuffer((cifar / f"data_batch_{k}.bin").read_bytes(), np.uint8).reshape(4, 3073)
        for k in range(1, 6)
    ])[:, 1:].astype(float)  # fmt: skip
    centred = train - train.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=1).mean())
    for pixel in (0, 5, 1023):
        for colour in range(3):
            plane = raw[:, 1 + 1024 * colour + pixel]
            expected = (plane - train[:, 1024 * colour + pixel].mean()) / size
            assert data.x_test[:, 3 * pixel + colour] == pytest.approx(expected, abs=1e-13)


def test_cifar10_in_its_own_folder_and_groups(cifar):
    inner = cifar / "cifar-10-batches-bin"
    inner.mkdir()
    for path in cifar.glob("*.bin"):
        path.rename(inner / path.name)
    data = images.cifar10(cifar, ((0,), (9, 3)), rows=4)
    assert data.y.tolist() == [-1, 1, 1] and data.x.shape[1] == 3073


def test_cifar10_damaged_or_missing(cifar):
    (cifar / "data_batch_3.bin").write_bytes(b"\0" * 3072)
    with pytest.raises(DamagedData, match="3073"):
        images.cifar10(cifar)
    (cifar / "data_batch_3.bin").write_bytes(b"\x0b" + b"\0" * 3072)
    with pytest.raises(DamagedData, match="label"):
        images.cifar10(cifar)
    (cifar / "data_batch_3.bin").unlink()
    with pytest.raises(MissingData, match="binary version"):
        images.cifar10(cifar)


def test_a_pickle_is_never_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(MissingData, match="pickle"):
        images.cifar10(tmp_path)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        (tmp_path / name).rename(tmp_path / f"{name}.bin")
    with pytest.raises(DamagedData):
        images.cifar10(tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("options", [{"rows": 0}, {"rows": 2.5}, {"groups": ((1,), (1,))},
                                     {"rows": 1, "groups": ((5,), (6,))}])  # fmt: skip
def test_senseless_choices(folder, options):
    with pytest.raises(InvalidProblem):
        images.fashion_mnist(folder=folder, **options)
    with pytest.raises(InvalidProblem):
        images.mnist(folder=3)


def test_digits_by_their_number():
    pytest.importorskip("sklearn")
    data = images.digits(None, bias=False)
    assert set(data.y) == set(range(10)) and len(data.x) + len(data.x_test) == 1797


@pytest.mark.skipif(not images.found_fashion_mnist(), reason="Debian's package is not installed")
def test_the_installed_fashion_mnist():
    data = images.fashion_mnist(rows=1000)
    assert data.x.shape == (1000, 785) and data.x_test.shape == (10_000, 785)
    assert (np.bincount(data.y_test.astype(int)) == 1000).all()
