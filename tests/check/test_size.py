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
    """Lines that hold a token other than comments and documentation strings."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            told.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - told)


def test_lines_are_counted_without_comments_and_documentation() -> None:
    text = '"""About."""\n\nx = 1  # one\n# none\n\ndef f():\n    """Told.\n    """\n'
    text += '    return """a\nb"""\n'
    assert code_lines(text) == 4


def test_judging_steps_and_runs_stays_readable() -> None:
    names = ("convex", "evaluate", "many", "policy", "run", "step", "transport", "verdict")
    sizes = {name: code_lines((FOLDER / f"{name}.py").read_text("utf-8")) for name in names}
    assert sum(sizes.values()) <= 1100, sizes
    assert code_lines((FOLDER / "functional.py").read_text("utf-8")) <= 245
