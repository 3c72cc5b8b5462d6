"""Populations: the two published conventions, their moments, and finite data."""

import numpy as np
import pytest

from jkoflow.networks.populations import EmpiricalData, GaussianClasses, Population
from jkoflow.status import InvalidMeasure, InvalidProblem


@pytest.mark.parametrize(
    ("classes", "plus", "minus"),
    [
        (GaussianClasses.std(6, 0.3), 1.3, 0.7),
        (GaussianClasses.var(6, 0.36), 1.36**0.5, 0.8),
        (GaussianClasses(6, 2.0, 0.5), 2.0, 0.5),
    ],
)
def test_conventions(classes, plus, minus):
    assert classes.std_plus == pytest.approx(plus, rel=1e-15)
    assert classes.std_minus == pytest.approx(minus, rel=1e-15)


def test_the_convention_is_named():
    assert "convention='std'" in repr(GaussianClasses.std(3, 0.1))
    assert GaussianClasses.var(3, 0.1).spec()["convention"] == "var"
    assert GaussianClasses(3, 1.1, 0.9).spec() != GaussianClasses.std(3, 0.1).spec()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_variances_of_the_classes(dtype):
    classes = GaussianClasses(5, 1.7, 0.4, active=2)
    n = 100_000
    x, y = classes.sample(n, np.random.default_rng(1), dtype=dtype)
    assert x.dtype == y.dtype == dtype
    assert set(np.unique(y)) == {-1.0, 1.0}
    assert abs(y.astype(float).sum()) < 4 * np.sqrt(n)  # z-score 4
    for label, std in ((1, 1.7), (-1, 0.4)):
        rows = x[y == label].astype(float)
        expected = np.array([std**2] * 2 + [1.0] * 3)
        # the variance of N(0, v) over m rows has relative error √(2/m); 10 such numbers, z = 4.5
        z = (rows.var(axis=0) / expected - 1) / np.sqrt(2 / len(rows))
        assert np.abs(z).max() < 4.5
        correlation = np.corrcoef(rows.T)[np.triu_indices(5, 1)]
        assert np.abs(correlation).max() * np.sqrt(len(rows)) < 4.5


def test_isotropic():
    assert GaussianClasses.std(4, 0.2).isotropic
    assert not GaussianClasses.std(4, 0.2, active=3).isotropic


def test_same_seed_same_data():
    classes = GaussianClasses.std(4, 0.2)
    np.testing.assert_array_equal(classes.sample(9, 3)[0], classes.sample(9, 3)[0])


@pytest.mark.parametrize("delta", [1.0, -1.2, np.nan, np.inf])
def test_bad_separation(delta):
    for preset in (GaussianClasses.std, GaussianClasses.var):
        with pytest.raises(InvalidProblem, match="separation"):
            preset(3, delta)


@pytest.mark.parametrize(
    "arguments", [(0, 1, 1), (2.5, 1, 1), (3, 0, 1), (3, 1, -1), (3, 1, np.nan), (3, 1, 1, 4)]
)
def test_bad_classes(arguments):
    with pytest.raises(InvalidProblem):
        GaussianClasses(*arguments)


def test_data_with_replacement():
    data = EmpiricalData([[0.0], [1.0]], [0.0, 1.0])
    x, y = data.sample(4000, np.random.default_rng(0))
    np.testing.assert_array_equal(x[:, 0], y)  # rows stay whole
    assert abs(y.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    assert data.one_pass_size is None


def test_one_pass():
    data = EmpiricalData(np.arange(50.0), np.arange(50.0), replace=False)
    x, y = data.sample(50, np.random.default_rng(0))
    assert data.one_pass_size == 50
    assert sorted(y) == list(range(50)) and (np.diff(y) < 0).any()
    np.testing.assert_array_equal(x[:, 0], y)
    with pytest.raises(InvalidProblem, match="one pass over 50 rows cannot give 51"):
        data.sample(51)


def test_populations_fit_the_protocol():
    assert isinstance(GaussianClasses(2, 1, 1), Population)
    assert isinstance(EmpiricalData([[1.0]], [1.0]), Population)


@pytest.mark.parametrize(
    ("x", "y"),
    [([[1.0], [np.nan]], [1, 1]), ([[1.0]], [1, 1]), ([[1.0]], [1j]), ([[1.0]], [np.inf])],
)
def test_bad_data(x, y):
    with pytest.raises(InvalidMeasure):
        EmpiricalData(x, y)


def test_empty_data():
    with pytest.raises(InvalidProblem, match="m ≥ 1"):
        EmpiricalData(np.zeros((0, 2)), np.zeros(0))
