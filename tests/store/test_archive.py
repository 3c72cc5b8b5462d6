"""Sealed archives of arrays: round trips, and everything that must be refused."""

from __future__ import annotations

import hashlib
import io
import zipfile

import numpy as np
import pytest

from jkoflow.status import StoreError
from jkoflow.store.archive import pack, read_archive, storable, unpack
from jkoflow.store.text import Altered

ARRAYS = {
    "measure.x": np.arange(6.0).reshape(2, 3),
    "empty": np.zeros((0, 4)),
    "scalar": np.array(2.5),
    "order": np.array([2, 0, 1]),
    "yes": np.array([True, False]),
    "z": np.array([1 + 2j]),
    "single": np.array([1.5], dtype=np.float32),
    "nan": np.array([np.nan, -0.0, np.inf]),
}


def test_arrays_come_back_bit_for_bit():
    back = unpack(pack(ARRAYS), "here")
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array, strict=True)
        assert back[name].tobytes() == array.tobytes()


def test_numpy_reads_the_file_too(tmp_path):
    (tmp_path / "a.npz").write_bytes(pack(ARRAYS))
    with np.load(tmp_path / "a.npz") as loaded:
        np.testing.assert_array_equal(loaded["measure.x"], ARRAYS["measure.x"])


def test_the_bytes_depend_on_the_arrays_alone():
    assert pack(ARRAYS) == pack({k: a.copy() for k, a in ARRAYS.items()})


def test_every_flipped_bit_is_noticed():
    data = pack({"x": np.arange(2.0)})
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(StoreError):
            unpack(bytes(flipped), "here")


def test_every_cut_and_every_tail_is_noticed():
    data = pack({"x": np.arange(2.0)})
    for length in range(len(data)):
        with pytest.raises(StoreError):
            unpack(data[:length], "here")
    for more in (b"\0", b"x" * 64, data):
        with pytest.raises(StoreError):
            unpack(data + more, "here")


def sealed_zip(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with a correct seal and contents of one's choosing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = b"0" * 64
    data = buffer.getvalue()[:-64]
    return data + hashlib.sha256(data).hexdigest().encode()


def npy(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def test_pickles_are_refused_unopened():
    content = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match="only numbers"):
        unpack(sealed_zip({"x.npy": content}), "here")


def test_strings_are_refused():
    with pytest.raises(StoreError, match="only numbers"):
        unpack(sealed_zip({"x.npy": npy(np.array(["a"]))}), "here")


def test_a_compressed_bomb_is_refused_before_it_is_opened():
    content = npy(np.zeros(10**6))
    with pytest.raises(StoreError, match="compressed"):
        unpack(sealed_zip({"x.npy": content}, zipfile.ZIP_DEFLATED), "here")


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(3,)", "(-1,)", "(-2, -1)"])
def test_an_announced_shape_must_fit_the_bytes(shape):
    padding = b" " * (len(shape) - 4)
    content = npy(np.zeros(2)).replace(b"(2,), }" + padding, shape.encode() + b", }")
    assert shape.encode() in content
    with pytest.raises(StoreError):
        unpack(sealed_zip({"x.npy": content}), "here")


def test_other_members_are_refused():
    with pytest.raises(StoreError, match="no array"):
        unpack(sealed_zip({"x.txt": b"hello"}), "here")
    with pytest.raises(StoreError):
        unpack(sealed_zip({"x.npy": b"hello"}), "here")


def test_fortran_order_is_refused():
    with pytest.raises(StoreError, match="Fortran"):
        unpack(sealed_zip({"x.npy": npy(np.asfortranarray(np.eye(3)[:2]))}), "here")


def test_another_seal_is_called_altered():
    data = pack({"x": np.arange(2.0)})
    with pytest.raises(Altered, match=r"seg\.npz was changed"):
        unpack(data[:-64] + b"0" * 64, "seg.npz")


def test_a_plain_npz_is_not_ours(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(Altered, match="written anew, or without one"):
        read_archive(tmp_path / "a.npz")


def test_files_above_the_limit_are_not_read(tmp_path):
    (tmp_path / "a.npz").write_bytes(pack({"x": np.zeros(1000)}))
    with pytest.raises(StoreError, match="limit of 1000"):
        read_archive(tmp_path / "a.npz", limit=1000)


@pytest.mark.parametrize("value", ["text", None, [object()], np.array([1.0], dtype=np.longdouble)])
def test_only_numbers_are_storable(value):
    if isinstance(value, np.ndarray) and value.dtype.itemsize <= 8:
        pytest.skip("long double is double here")
    if isinstance(value, np.ndarray):
        assert storable(value, "x").dtype == value.dtype
        return
    with pytest.raises(StoreError, match="state"):
        storable(value, "state")


def test_names_that_could_leave_the_folder_are_refused():
    with pytest.raises(StoreError, match="cannot name"):
        storable(np.zeros(1), "../x")


def test_big_endian_is_written_little():
    array = storable(np.array([1.0, 2.0], dtype=">f8"), "x")
    assert array.dtype == np.dtype("<f8") and array.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"PK\x03\x04", b"PK\x03\x05"),  # no member where the directory says
        (b"x.npy", b"y.npy"),  # another name there
        (np.arange(3.0).tobytes(), np.arange(1.0, 4.0).tobytes()),  # other bytes than were summed
    ],
)
def test_a_member_that_is_not_what_the_directory_says_is_refused(old, new):
    """With a seal that fits: zip's own redundancy is looked at, too."""
    body = pack({"x": np.arange(3.0)})[:-64].replace(old, new, 1)
    with pytest.raises(StoreError, match="cut off or damaged"):
        unpack(body + hashlib.sha256(body).hexdigest().encode(), "here")


def test_arrays_are_read_only_and_aligned():
    for array in unpack(pack(ARRAYS), "here").values():
        assert array.flags.aligned and not array.flags.writeable
