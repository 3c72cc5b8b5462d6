"""The page: the verdict first, everything inside, nothing from outside, and all text stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from jkoflow.check import Finding, Report, Verdict
from jkoflow.report.html import Image, number, page, write_page

EVIL = "<script>alert('&')</script>"


def report(*verdicts):
    return Report(
        f"run {EVIL}",
        tuple(
            Finding(f"claim {k} {EVIL}", v, 1e-9 * k, 1e-6, (f"assumed {EVIL}",), f"step {k}", EVIL)
            for k, v in enumerate(verdicts, start=1)
        ),
    )


class Parsed(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def full_page(*verdicts):
    return page(
        report(*verdicts), title=EVIL, figures=[Image(b"\x89PNG", f'a "figure" {EVIL}')],
        facts={EVIL: EVIL, "steps": 3}, spec={"name": EVIL}, footer=EVIL,
    )  # fmt: skip


def test_nothing_is_loaded_and_nothing_runs():
    parsed = Parsed(full_page(Verdict.ACCEPTED, Verdict.REJECTED))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    assert [a["src"] for a in parsed.all("img")] == ["data:image/png;base64,iVBORw=="]
    policy = next(a["content"] for a in parsed.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert not any(key.startswith("on") for _, attributes in parsed.tags for key in attributes)
    assert "".join(parsed.texts).count(EVIL) >= 10  # and every one of them is text


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_verdict_comes_first_and_is_the_report_s(verdict):
    text = full_page(Verdict.ACCEPTED, verdict)
    parsed = Parsed(text)
    assert f'<p class="verdict {verdict.name.lower()}">{verdict.name}</p>' in text
    words = [t for t in parsed.texts if t.strip() in Verdict.__members__]
    assert words[0].strip() == verdict.name


def test_each_finding_has_its_numbers_where_it_was_and_what_it_rests_on():
    text = full_page(Verdict.REJECTED, Verdict.ACCEPTED)
    for expected in ("1e-09", "2e-09", "1e-06", "step 1", "step 2", "Rests on"):
        assert expected in text
    assert text.index("claim 1") < text.index("claim 2"), "the rejected finding comes first"


def test_no_findings_and_no_judge():
    assert "nothing is decided" in page(Report("empty", ()))
    text = page(None, title="A run")
    assert "not judged" in text and "ACCEPTED" not in text


def test_figures_have_words_for_who_cannot_see_them():
    parsed = Parsed(full_page(Verdict.ACCEPTED))
    assert all(a.get("alt") for a in parsed.all("img"))


def test_numbers():
    assert number(float("inf")) == "inf" and number(True) == "True" and number(0.1) == "0.1"


def test_writing_replaces_the_page_as_a_whole(tmp_path):
    path = write_page(tmp_path / "new" / "page.html", None, title="one")
    assert write_page(path, None, title="two") == path
    assert "two" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
