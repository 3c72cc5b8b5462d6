"""Every script of examples/ runs, in an empty folder, and its asserted number holds."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parent.parent / "examples").glob("[0-9]*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_ends_in_an_asserted_number(script):
    last = ast.parse(script.read_text(encoding="utf-8")).body[-1]
    assert isinstance(last, ast.Assert)
    numbers = [n for n in ast.walk(last) if isinstance(n, ast.Constant) and type(n.value) is float]
    assert numbers


def test_the_list_is_complete():
    text = (SCRIPTS[0].parent / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^- `(\S+)`", text, re.MULTILINE) == [script.name for script in SCRIPTS]
