"""Opens the laboratory: marimo serves the notebook, and the browser shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..status import require_extra

NOTEBOOK = Path(__file__).with_name("notebook.py")


def command(port: int | None = None, headless: bool = False) -> list[str]:
    """What is run.

    Raises
    ------
    MissingExtra
        Without ``pip install 'jkoflow[lab]'``.

    Examples
    --------
    >>> command(port=8123, headless=True)[2:]          # doctest: +ELLIPSIS
    ['marimo', 'run', '...notebook.py', '--port', '8123', '--headless']
    """
    require_extra("marimo", "lab")
    require_extra("matplotlib", "lab")
    given = [sys.executable, "-m", "marimo", "run", str(NOTEBOOK)]
    given += [] if port is None else ["--port", str(port)]
    return given + (["--headless"] if headless else [])


def launch(port: int | None = None, headless: bool = False) -> int:
    """Serve the laboratory until it is interrupted; the server's exit code."""
    return subprocess.run(command(port, headless), check=False).returncode
