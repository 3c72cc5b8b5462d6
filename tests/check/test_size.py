"""How long the judge is: a predicate that nobody can read convinces nobody."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

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


def test_judging_steps_and_runs_stays_readable() -> None:
    names = ("__init__", "convex", "evaluate", "minimality", "policy", "residual", "run",
             "step", "taken", "transport", "verdict")  # fmt: skip
    sizes = {name: code_lines((FOLDER / f"{name}.py").read_text("utf-8")) for name in names}
    assert sum(sizes.values()) <= 811, sizes
    assert max(sizes.values()) <= 180, sizes


def test_judging_functionals_and_fixed_points_stays_readable() -> None:
    sizes = {name: code_lines((FOLDER / f"{name}.py").read_text("utf-8"))
             for name in ("around", "claims", "derivatives", "functional", "fixed_point",
                          "proximal_gibbs")}  # fmt: skip
    assert sum(sizes.values()) <= 420, sizes


def test_judging_runs_of_second_order_stays_readable() -> None:
    assert code_lines((FOLDER / "second_order.py").read_text("utf-8")) <= 189


def test_judging_grids_stays_readable() -> None:
    sizes = {name: code_lines((FOLDER / f"{name}.py").read_text("utf-8"))
             for name in ("grid", "weak")}  # fmt: skip
    assert sum(sizes.values()) <= 155, sizes


def test_no_module_of_the_arithmetic_judge_is_left_uncounted() -> None:
    counted = {"__init__", "around", "claims", "convex", "derivatives", "evaluate", "fixed_point",
               "functional", "grid", "minimality", "policy", "proximal_gibbs", "residual", "run",
               "second_order", "step", "taken", "transport", "verdict", "weak"}  # fmt: skip
    found = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("samples")}
    assert found == counted
