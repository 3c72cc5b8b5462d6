"""The digits: shapes, scale, split, and what is said when they cannot be had."""

import sys

import numpy as np
import pytest

from jkoflow.networks import SimpleUnit, data_risk, images, tanh
from jkoflow.status import InvalidProblem, MissingExtra

pytest.importorskip("sklearn")


def test_every_digit_is_used_once():
    data = images.digits()
    assert len(data.x) + len(data.x_test) == 1797
    assert data.x.shape[1] == data.x_test.shape[1] == 65
    assert set(np.unique(data.y)) == {-1.0, 1.0}
    assert 0.45 < (data.y == 1).mean() < 0.55


def test_scale_and_bias():
    data = images.digits(bias=False)
    assert data.x.shape[1] == 64
    assert data.x.mean(axis=0) == pytest.approx(0.0, abs=1e-14)
    assert (data.x**2).sum(axis=1).mean() == pytest.approx(1.0, rel=1e-13)
    assert (images.digits().x[:, -1] == 1).all()


def test_labels_follow_the_groups():
    data = images.digits(((3,), (8, 1)), test_fraction=0.5, bias=False, rng=1)
    from sklearn.datasets import load_digits

    _, labels = load_digits(return_X_y=True)
    total = np.concatenate([data.y, data.y_test])
    assert (total == -1).sum() == (labels == 3).sum()
    assert (total == 1).sum() == (labels == 8).sum() + (labels == 1).sum()
    assert abs(len(data.y) - len(data.y_test)) <= 1


def test_split_depends_on_the_seed_only():
    a, b, c = images.digits(rng=4), images.digits(rng=4), images.digits(rng=5)
    assert (a.x == b.x).all() and (a.y == b.y).all()
    assert not (a.y_test == c.y_test).all()


def test_a_network_learns_it():
    """Two hundred steps of the particle flow leave a test accuracy far above chance."""
    data = images.digits()
    R, unit = data_risk(SimpleUnit(tanh), data.x, data.y), SimpleUnit(tanh)
    w = np.full(60, 1 / 60)
    theta = np.random.default_rng(0).normal(scale=2 / np.sqrt(65), size=(60, 65))
    start = R.value_at_points(theta, w)
    for _ in range(200):
        theta = theta - 0.25 * R.gradient_at_points(theta, w)
    assert R.value_at_points(theta, w) < 0.5 * start
    right = np.sign(unit.value(theta, data.x_test) @ w) == data.y_test
    assert right.mean() > 0.85  # 0.90 measured


@pytest.mark.parametrize(
    "groups", [((0, 1), (1, 2)), ((), (1,)), ((0,), (10,)), ((0, 1),), 3, (("a",), (1,))]
)
def test_bad_groups(groups):
    with pytest.raises(InvalidProblem, match="groups"):
        images.digits(groups)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan"), 1e-6])
def test_bad_fraction(fraction):
    with pytest.raises(InvalidProblem, match="test_fraction"):
        images.digits(test_fraction=fraction)


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"jkoflow\[images\]"):
        images.digits()


def test_missing_files(monkeypatch):
    import sklearn.datasets

    def gone(**_):
        raise FileNotFoundError("digits.csv.gz")

    monkeypatch.setattr(sklearn.datasets, "load_digits", gone)
    with pytest.raises(images.MissingData, match="reinstall"):
        images.digits()


def test_importing_the_package_loads_neither_sklearn_nor_numba():
    import subprocess

    code = (
        "import sys, jkoflow.networks; "
        "sys.exit(any(m in sys.modules for m in ('sklearn', 'numba', 'matplotlib', 'ot')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
