"""A folder that keeps a sweep's results, one file for each cell."""

from __future__ import annotations

from typing import Any

from ..functionals.identity import spec_digest
from ..measures.base import Array
from ..status import StoreError
from ..store.archive import pack, read_archive, storable
from ..store.files import explained, folder_path, read_whole, write_whole
from ..store.text import compact, seal, unseal

_HEAD = "sweep.json"
_LIMIT = 2**16  # bytes of the head


class SweepFolder:
    """Results by the keys of their cells; ``identity`` says whose they are.

    Raises
    ------
    StoreError
        If the folder cannot be made, or holds another sweep.
    """

    def __init__(self, path: Any, identity: dict[str, Any]) -> None:
        self.path = folder_path(path)
        with explained("make the folder", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        head, sealed = self.path / _HEAD, seal(compact({"sweep": spec_digest(identity)}))
        if not head.exists():
            if any(self.path.iterdir()):
                raise StoreError(f"{self.path} is not empty, and holds no sweep: choose another")
            write_whole(head, sealed)
        elif unseal(read_whole(head, _LIMIT), str(head)) != unseal(sealed, "this sweep"):
            raise StoreError(f"{self.path} holds a sweep of another function or seed: choose "
                             "another folder, or remove this one")  # fmt: skip

    def read(self, key: str) -> dict[str, Array] | None:
        """The result of a cell, if it is there; a damaged file is an error."""
        path = self.path / f"{key}.npz"
        return read_archive(path) if path.exists() else None

    def write(self, key: str, result: dict[str, Array]) -> None:
        """Keep a result, whole or not at all."""
        arrays = {name: storable(value, name) for name, value in result.items()}
        write_whole(self.path / f"{key}.npz", pack(arrays))
