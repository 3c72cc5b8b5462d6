"""Recording: what is kept, when, and of whom."""

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.dynamics import Recording, means, radii, radius_quantiles, test_risk
from jkoflow.networks import GaussianClasses, SimpleUnit, truncated_relu
from jkoflow.status import InvalidMeasure, InvalidProblem

UNIT, CLASSES = SimpleUnit(truncated_relu), GaussianClasses.std(5, 0.5)
THETA0 = np.random.default_rng(0).standard_normal((30, 5))


def run(record, **more):
    return jf.sgd(UNIT, CLASSES, THETA0, steps=100, epsilon=0.01, rng=2, record=record, **more)


def test_a_list_of_times():
    result = run([0.5, 0.0, 1.0, 0.5])
    np.testing.assert_allclose(result.times, [0, 0.5, 1])  # sorted, each once
    assert [mu.points.shape for mu in result.snapshots] == [(30, 5)] * 3
    np.testing.assert_array_equal(result.snapshots[0].points, THETA0)
    np.testing.assert_array_equal(result.snapshots[-1].points, result.theta)
    for i, mu in enumerate(result.snapshots):
        norms = np.linalg.norm(mu.points, axis=1)
        np.testing.assert_array_equal(result.statistics["radii"][i], np.sort(norms))
        np.testing.assert_array_equal(result.statistics["mean"][i], mu.points.mean(axis=0))


def test_nothing_asked():
    result = run(None)
    assert result.statistics == {} and result.snapshots == [] and result.times.shape == (0,)


def test_times_go_to_the_nearest_step():
    np.testing.assert_allclose(run([0.0149, 0.0151]).times, [0.01, 0.02])


def test_functionals_and_shapes():
    potential = jf.QuadraticPotential(2.0)
    x, y = CLASSES.sample(50, 1)
    kept = {
        "energy": potential,
        "quantiles": radius_quantiles([0.1, 0.5]),
        "risk": test_risk(UNIT, x, y),
        "means": means,
        "largest": lambda theta: radii(theta)[-1],
    }
    result = run(Recording([0.0, 1.0], kept))
    shapes = {name: values.shape for name, values in result.statistics.items()}
    assert shapes == {
        "energy": (2,), "quantiles": (2, 2), "risk": (2,), "means": (2, 5), "largest": (2,),
    }  # fmt: skip
    assert result.statistics["energy"][1] == pytest.approx(
        (result.theta**2).sum(axis=1).mean(), rel=1e-13
    )
    outputs = [UNIT.value(THETA0, row[None]).mean() for row in x]
    expected = np.mean((y - outputs) ** 2)
    assert result.statistics["risk"][0] == pytest.approx(expected, rel=1e-13)
    assert result.snapshots == []


def test_statistics_may_not_change_the_particles():
    def spoil(theta):
        theta[0] = 0
        return 0.0

    with pytest.raises(InvalidProblem, match="changes its input"):
        run(Recording([0.0], {"spoil": spoil}))


def test_a_statistic_of_changing_shape():
    shapes = iter([1, 2])
    with pytest.raises(InvalidProblem, match="changed its shape"):
        run(Recording([0.0, 0.5], {"odd": lambda theta: np.zeros(next(shapes))}))


@pytest.mark.parametrize("times", [[np.nan], [[0.1]], "now", [1j]])
def test_bad_times(times):
    with pytest.raises(InvalidMeasure, match="record times"):
        run(times)
