"""The documentation runs, its links lead somewhere, and its tables say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "jkoflow" / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


def name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text())], ids=name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """The blocks of a page run one after the other, in one namespace and an empty folder."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "docs"}
    for k, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
        # Kept as a file, so that functions of a page have a source that can be identified.
        file = tmp_path / f"block_{k}.py"
        file.write_text(block, encoding="utf-8")
        exec(compile(block, str(file), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{name(page)} links to {target}"


def anchors(page):
    """The anchors that headings of a page get."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_table_of_steppers_is_the_code_s():
    from jkoflow import measures
    from jkoflow.steppers.choose import TABLE

    text = (ROOT / "docs" / "choosing-a-stepper.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", text, re.MULTILINE))
    classes = {cls.kind: cls.__name__ for cls in vars(measures).values() if hasattr(cls, "kind")}
    assert documented == {classes[kind]: stepper for kind, (_, stepper) in TABLE.items()}


def test_the_exit_codes_are_the_code_s():
    from jkoflow.check import ExitCode
    from jkoflow.cli import Exit

    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert documented == {int(code) for code in Exit}
    assert [int(code) for code in ExitCode] == [int(code) for code in Exit][:5]


def test_every_public_name_is_on_the_page_of_names():
    import jkoflow

    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   ([\w.]+)$", text, re.MULTILINE))
    assert set(jkoflow.__all__) - {"networks", "steppers"} <= listed
    for name in listed:
        thing: object = jkoflow
        for part in name.split("."):
            thing = getattr(thing, part)
        assert thing.__doc__


def test_the_map_is_what_the_modules_say():
    import runpy

    written = (ROOT / "jkoflow" / "README.md").read_text(encoding="utf-8")
    current = runpy.run_path(str(ROOT / "docs" / "write_map.py"))["text"]()
    assert written == current, "run: python docs/write_map.py"


def test_the_top_readme_has_a_line_for_every_child():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    ours = [
        child.name
        for child in ROOT.iterdir()
        if (not child.name.startswith(".") or child.name == ".ci")
        and child.name not in IGNORED
        and not child.name.endswith(".egg-info")
    ]
    missing = [child for child in ours if f"`{child}" not in text and f"[`{child}" not in text]
    assert not missing, f"README.md says nothing about {missing}"


IGNORED = {"build", "dist", "jkoflow-demo", "shared", "README.md", "__pycache__"}


def test_readme_has_exactly_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [block.strip() for block in blocks] == [
        "pip install '.[plots,images]' && jkoflow demo",
        "pip install -e '.[test]' && pytest",
    ]


