"""A progress bar that costs nothing when it is not shown."""

from __future__ import annotations

from typing import Any


class _Silent:
    def update(self, n: int) -> None: ...
    def close(self) -> None: ...


def progress_bar(show: bool, total: int, initial: int, unit: str = "step") -> Any:
    """A tqdm bar over steps (or other units), or an object that ignores its calls."""
    if not show:
        return _Silent()
    from tqdm import tqdm

    return tqdm(total=total, initial=initial, unit=unit)
