"""Mutation testing of one module: which changes of one place no test notices.

    python benchmarks/mutation.py jkoflow/check/transport.py --sample 60 tests/check tests/mutants

The mutants are mutmut's (2.5, `pip install 'mutmut<3'`), without those that change only texts or
annotations. mutmut itself would start an interpreter for each of them; here each is run in a fork
of one process that has collected the tests, where the function it changes is given its other code.
Only tests that enter that function are run, those that killed the most first. What is not inside a
function is run in an interpreter of its own, whose import of the module is served the mutant.
Nothing is written to the package. Needs a system that forks.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SERVED = """
import importlib.machinery, pathlib, sys
path, mutant, tests = sys.argv[1], sys.argv[2], sys.argv[3:]
real = importlib.machinery.SourceFileLoader.get_code
def get_code(self, name):
    if self.path != path:
        return real(self, name)
    return compile(pathlib.Path(mutant).read_text("utf-8"), path, "exec")
importlib.machinery.SourceFileLoader.get_code = get_code
import pytest
sys.exit(pytest.main(["-xq", "-n0", "-p", "no:cacheprovider", *tests]))
"""


class Mutant(NamedTuple):
    """Another source, and the line (from 1) that differs."""

    line: int
    source: str


class _Silent(ast.NodeTransformer):
    """Without texts and annotations."""

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(0)
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> Any:
        """None for a text is another text."""
        told = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str | None)
        if told or isinstance(node.value, ast.JoinedStr):
            node.value = ast.Constant("")
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> Any:
        return ast.Constant("") if isinstance(node.value, str) else node


def meaning(source: str) -> str:
    """What a source does, texts and annotations apart."""
    return ast.dump(_Silent().visit(ast.parse(source)))


def mutants_of(source: str) -> list[Mutant]:
    """All of mutmut's that mean something else, each once."""
    import mutmut

    for kind in ("string", "fstring"):
        mutmut.mutations_by_type.pop(kind, None)
    found = {meaning(source): Mutant(0, source)}
    for place in mutmut.list_mutations(mutmut.Context(source=source)):
        try:
            new = mutmut.mutate(mutmut.Context(source=source, mutation_id=place))[0]
            found.setdefault(meaning(new), Mutant(place.line_number + 1, new))
        except (RuntimeError, SyntaxError):  # no change, or no Python
            continue
    return list(found.values())[1:]


def function_at(source: str, line: int) -> str | None:
    """The qualified name of the function or method that a line is in."""
    for node in ast.parse(source).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for f in inner:
            if isinstance(f, ast.FunctionDef) and f.lineno <= line <= (f.end_lineno or 0):
                return f"{node.name}.{f.name}" if isinstance(node, ast.ClassDef) else f.name
    return None


def _function(module: Any, name: str) -> types.FunctionType:
    head, _, tail = name.partition(".")
    found = vars(getattr(module, head))[tail] if tail else getattr(module, head)
    for inside in ("fget", "func", "__func__"):  # of properties, cached ones, and class methods
        found = getattr(found, inside, None) or found
    if not isinstance(found, types.FunctionType):
        raise TypeError(f"{name} is wrapped")
    return found


def patch(module: types.ModuleType, source: str, name: str) -> None:
    """Give a function the code that it has in another source."""
    other = types.ModuleType(module.__name__)
    vars(other).update(__file__=module.__file__, __package__=module.__package__)
    sys.modules[module.__name__] = other  # where dataclasses look
    try:
        exec(compile(source, str(module.__file__), "exec"), vars(other))
    finally:
        sys.modules[module.__name__] = module
    old, new = _function(module, name), _function(other, name)
    old.__code__, old.__defaults__, old.__kwdefaults__ = (
        new.__code__, new.__defaults__, new.__kwdefaults__)  # fmt: skip


def forked(work: Callable[[], Any], limit: float) -> Any:
    """What work() returns in a child, through JSON; a text if it took longer, or died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            said = json.dumps(work())
        except BaseException as error:
            said = json.dumps(f"{type(error).__name__}: {error}")
        with os.fdopen(writing, "w") as out:
            out.write(said)
        os._exit(0)
    os.close(writing)
    end, heard = time.monotonic() + limit, b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            part = pipe.read(1 << 16)
            if not part:
                os.waitpid(child, 0)
                return json.loads(heard) if heard else "died"
            heard += part
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "took too long"


class Mutation:
    """A pytest plugin whose test loop is: which tests enter which function, then the mutants."""

    def __init__(self, path: Path, module: str, sample: int, seed: int) -> None:
        self.path, self.name, self.source = path, module, path.read_text("utf-8")
        self.all = mutants_of(self.source)
        order = list(range(len(self.all)))
        random.Random(seed).shuffle(order)
        self.chosen = order[:sample] if sample else order
        self.failed: str | None = None
        self.kills: Counter[tuple[str | None, int]] = Counter()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def run(self, items: list[Any], k: int, following: int | None = None) -> bool:
        """Whether a test fails."""
        self.failed, item = None, items[k]
        after = None if following is None else items[following]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        return self.failed is not None

    def entered(self, items: list[Any]) -> Any:
        """[functions of the module that are called, seconds, whether it fails] of each test."""
        rows = []
        for k in range(len(items)):
            called: set[str] = set()

            def call(frame: Any, event: str, arg: Any, called: set[str] = called) -> None:
                if event == "call" and frame.f_code.co_filename == str(self.path):
                    called.add(frame.f_code.co_qualname.split(".<locals>")[0])

            start = time.process_time()
            sys.setprofile(call)
            bad = self.run(items, k, k + 1 if k + 1 < len(items) else None)
            sys.setprofile(None)
            rows.append([sorted(called), time.process_time() - start, bad])
        return rows

    def pytest_runtestloop(self, session: Any) -> bool:
        items = list(session.items)
        rows = forked(lambda: self.entered(items), 3600.0)
        bad = [items[k].nodeid for k, row in enumerate(rows) if row[2]]
        print(f"{len(self.all)} mutants, {len(self.chosen)} of them; {len(items)} tests"
              + (f", without {bad}, which fail" if bad else ""), flush=True)  # fmt: skip
        dead = sum(self.killed(self.all[i], items, rows) for i in self.chosen)
        print(f"{self.name}: {dead} of {len(self.chosen)} killed")
        return True

    def killed(self, mutant: Mutant, items: list[Any], rows: list[Any]) -> bool:
        name, module = function_at(self.source, mutant.line), importlib.import_module(self.name)
        if name is not None:
            _function(module, name)  # what cannot be given other code is an error and no kill
        mine = [k for k, (called, _, bad) in enumerate(rows) if not bad
                and (name is None or name in called)]  # fmt: skip
        mine.sort(key=lambda k: (-self.kills[name, k], rows[k][1]))
        limit = 20.0 + 5.0 * sum(rows[k][1] for k in mine)

        def work() -> int | None:
            assert name is not None
            patch(module, mutant.source, name)
            pairs = zip(mine, [*mine[1:], None], strict=True)
            return next((k for k, after in pairs if self.run(items, k, after)), None)

        found = self.apart(mutant, items, mine) if name is None else forked(work, limit)
        if isinstance(found, int):
            self.kills[name, found] += 1
        if found is None:
            old, new = (s.splitlines() for s in (self.source, mutant.source))
            changed = next((a, b) for a, b in zip(old, new, strict=False) if a != b)
            print(f"line {mutant.line}, in {name}: survives {len(mine)} tests\n  - "
                  f"{changed[0].strip()}\n  + {changed[1].strip()}", flush=True)  # fmt: skip
        return found is not None

    def apart(self, mutant: Mutant, items: list[Any], mine: list[int]) -> str | None:
        """In another interpreter, by the files of the tests."""
        import tempfile

        files = list(dict.fromkeys(str(items[k].path) for k in mine))
        with tempfile.NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as other:
            other.write(mutant.source)
            other.flush()
            arguments = [sys.executable, "-c", SERVED, str(self.path), other.name, *files]
            done = subprocess.run(arguments, capture_output=True, check=False)
        return None if done.returncode == 0 else "fails"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=Path, help="a file, from the folder of the project")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--sample", type=int, default=0, help="how many mutants; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_intermixed_args()
    name = ".".join(asked.module.with_suffix("").parts)
    plugin = Mutation(asked.module.resolve(), name, asked.sample, asked.seed)
    pytest.main(["-q", "-s", "-n0", "-p", "no:cacheprovider", *asked.tests], plugins=[plugin])


if __name__ == "__main__":
    main()
