"""Every demo, in its quick version, by the code of the full one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from jkoflow.check import Verdict
from jkoflow.demos import registry
from jkoflow.demos.session import Session


@pytest.mark.parametrize("name", registry.names())
def test_quick_demo_is_accepted_and_leaves_its_files(name, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    demo = registry.demo(name)
    assert demo.name == name and demo.title and demo.settings and demo.quick_seconds <= 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = demo.compute(Session(tmp_path, quick=True, echo=lambda line: None))
    failed = [f for f in result.report.findings if f.verdict is not Verdict.ACCEPTED]
    assert result.report.verdict is Verdict.ACCEPTED, failed
    for file in ("figure.png", "data.npz", "report.txt", "report.json", "report.html"):
        assert (tmp_path / file).stat().st_size > 0
    assert all(path.exists() for path in result.files)
    with np.load(tmp_path / "data.npz", allow_pickle=False) as data:
        assert data.files and all(np.size(data[key]) > 0 for key in data.files)
