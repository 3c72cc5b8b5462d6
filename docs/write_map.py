"""Writes jkoflow/README.md, the map of the package, from the first line of each module.

Run ``python docs/write_map.py`` after adding or renaming a module; a test compares.
"""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "jkoflow"
HEAD = """# Map of the package

A sentence for every module, which is the first line of its documentation (`docs/write_map.py`
writes this page). Imports go downwards only: a folder may use those further down and none further
up. `check` stands beside the tower: of all this it may see only measures, what a functional is, and
the format of a stored run.
"""
ORDER = (
    "demos", "lab", "report", "flows", "check", "store", "steppers", "dynamics", "equilibrium",
    "transport", "networks", "functionals", "measures",
)  # fmt: skip


def sentence(file: Path) -> str:
    """The first line of a module's documentation."""
    lines = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()
    return lines[0] if lines else "(no documentation)"


def modules(folder: Path) -> str:
    """A list of the modules in one folder."""
    files = sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")
    return "\n".join(f"- `{file.name}`: {sentence(file)}" for file in files)


def text() -> str:
    """The whole page."""
    files = (*PACKAGE.glob("*/__init__.py"), *PACKAGE.glob("*/*/__init__.py"))
    folders = {str(file.parent.relative_to(PACKAGE)): file.parent for file in files}
    first = sorted(folders, key=lambda name: (ORDER.index(name.partition("/")[0]), name))
    parts = [HEAD]
    for name in first:
        about = sentence(folders[name] / "__init__.py")
        parts.append(f"## {name}/\n\n{about}\n\n{modules(folders[name])}\n")
    parts.append(f"## jkoflow\n\nThe package's own modules.\n\n{modules(PACKAGE)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (PACKAGE / "README.md").write_text(text(), encoding="utf-8")
