"""How long the judge is: a predicate that nobody can read convinces nobody."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

import jkoflow.check

FOLDER = Path(jkoflow.check.__file__).parent
SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(text: str) -> int:
    """Lines that hold a token other than comments, documentation strings and imports."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if documentation or isinstance(node, (ast.Import, ast.ImportFrom)):
            told.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - told)


def test_lines_are_counted_without_comments_documentation_and_imports() -> None:
    text = '"""About."""\nimport os\n\nx = 1  # one\n# none\n\ndef f():\n    """Told.\n    """\n'
    text += '    return """a\nb"""\n'
    assert code_lines(text) == 4


GROUPS = {
    "the predicate of a step": (
        522, ("evaluate", "minimality", "policy", "residual", "step", "transport", "verdict"),
    ),
    "the judge of runs": (326, ("__init__", "convex", "run", "taken")),
    "functionals": (268, ("around", "claims", "derivatives", "functional")),
    "fixed points": (194, ("fixed_point", "proximal_gibbs")),
    "grids": (222, ("grid", "weak")),
    "runs of second order": (189, ("extrapolated", "second_order")),
}  # fmt: skip
"""Lines of code at most, and the modules they are in; docs/decisions/0005 says why so many."""


@pytest.mark.parametrize("group", GROUPS)
def test_the_judge_does_not_grow(group: str) -> None:
    most, names = GROUPS[group]
    found = {name: code_lines((FOLDER / f"{name}.py").read_text("utf-8")) for name in names}
    assert sum(found.values()) <= most, found
    assert max(found.values()) <= 188, found


def test_no_module_of_the_arithmetic_judge_is_left_uncounted() -> None:
    counted = [name for _, names in GROUPS.values() for name in names]
    found = [path.stem for path in FOLDER.glob("*.py")]
    assert sorted(found) == sorted(counted)
