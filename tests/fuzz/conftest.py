"""A forger's tools: a run's files taken apart, changed, and put together with all hashes new."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.identity import array_digest
from jkoflow.store.book import Flush
from jkoflow.store.format import read_run
from jkoflow.store.layout import CORE, chained
from jkoflow.store.text import compact, seal, unseal

PROBLEMS = {
    "particles": jf.Problem(
        jf.QuadraticPotential(1.3), jf.Particles([[0.0, 1.0], [2.0, 0.5], [-1.0, 0.3]]), 0.4, 3
    ),
    "quantiles": jf.Problem(
        jf.Entropy() / 2 + jf.QuadraticPotential(0.8), jf.Quantiles.normal(0.3, 0.7, 6), 0.3, 3
    ),
    "radial": jf.Problem(
        jf.Entropy() / 2 + jf.QuadraticPotential(0.8), jf.Radial.normal(0.7, 4, 5), 0.3, 3
    ),
    "gaussian": jf.Problem(
        jf.Entropy() / 2 + jf.QuadraticPotential(0.8), jf.Gaussian([1.0, 0], np.eye(2)), 0.3, 3
    ),
}
SEGMENT = "segment-000001.npz"


@dataclass
class Honest:
    """A problem, and the folder of its honest run."""

    problem: jf.Problem
    folder: Path

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.folder, to)
        return to


@pytest.fixture(scope="session", params=list(PROBLEMS))
def honest(request, tmp_path_factory):
    """An honest run of each kind."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    once = Flush(seconds=math.inf)  # one checkpoint and one segment, however slow the machine is
    jf.flow(PROBLEMS[request.param], store=jf.Directory(folder, once))
    return Honest(PROBLEMS[request.param], folder)


def sealed_zip(members, compression=zipfile.ZIP_STORED) -> bytes:
    """A zip of (name, bytes) with the checksum that a run's archives have."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
        archive.comment = b"0" * 64
    body = buffer.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def npy(array, **options) -> bytes:
    """The bytes of an .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), version=(1, 0), **options)
    return buffer.getvalue()


def rewrite(folder: Path, header=None, lines=None, arrays=None) -> None:
    """Change header, lines and the segment's arrays; then make every hash anew.

    ``arrays`` maps the dict of flat arrays to another one; lines get the digests of what their
    places now hold, where there is something.
    """
    run = read_run(folder)
    head = unseal((folder / "run.json").read_bytes().rstrip(b"\n"), "run.json")
    steps = [unseal(raw, "line") for raw in (folder / "steps.jsonl").read_bytes().splitlines()]
    flat = dict(np.load(folder / SEGMENT))
    if arrays:
        flat = arrays(flat)
        (folder / SEGMENT).write_bytes(sealed_zip([(k + ".npy", npy(a)) for k, a in flat.items()]))
        for step in steps:
            for name, (start, shape) in step["places"].items():
                held = flat.get(name, np.zeros(0)).ravel()[start : start + int(np.prod(shape))]
                if held.size == int(np.prod(shape)):
                    step["arrays"][name] = array_digest(held.reshape(shape))
    if lines:
        steps = lines(steps)
    link, texts = run.start, []
    for step in steps:
        try:
            link = chained(link, compact({k: step[k] for k in CORE}))
            texts.append(seal(compact({**step, "link": link})))
        except (KeyError, TypeError):  # no object, or one without all of its core
            texts.append(seal(compact(step)))
    (folder / "steps.jsonl").write_bytes(b"".join(t + b"\n" for t in texts))
    head.pop("sha256", None)
    head = {**head, "head": link, "steps": len(steps)}
    if header:
        head = header(head)
    (folder / "run.json").write_bytes(seal(json.dumps(head)))
    for checkpoint in folder.glob("checkpoint-*"):
        checkpoint.unlink()


@pytest.fixture(scope="session")
def forger():
    """The tools, as tests in this folder cannot import this file."""
    return {"rewrite": rewrite, "npy": npy, "sealed_zip": sealed_zip}
