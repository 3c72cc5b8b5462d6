"""SGD as its users meet it: seeds, statuses, published numbers, and bad input."""

import signal

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import Status
from jkoflow.dynamics import Recording, of_radii
from jkoflow.networks import (
    EmpiricalData,
    GaussianClasses,
    PiecewiseLinear,
    ScaledUnit,
    SimpleUnit,
    Unit,
    radial_risk,
    relu,
    truncated_relu,
)
from jkoflow.status import InvalidMeasure, InvalidProblem, StepFailed


def test_seeds():
    unit, population = SimpleUnit(relu), GaussianClasses.std(7, 0.6)
    runs = [
        jf.sgd(unit, population, np.eye(7), steps=20, epsilon=1e-2, rng=rng).theta
        for rng in (5, 5, 6, np.random.default_rng(5))
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[3])
    assert (runs[0] != runs[2]).any()


def test_one_pass_uses_each_row_once():
    """For σ* = ⟨θ, x⟩, y = 1 and orthogonal rows, θ tells which rows were used, and how often."""
    rows = np.diag(np.arange(1.0, 7.0))
    data = EmpiricalData(rows, np.ones(6), replace=False)
    run = jf.sgd(SimpleUnit(PiecewiseLinear("line", [0.0], [0.0], 1.0, 1.0)), data,
                 np.zeros((1, 6)), steps=6, epsilon=0.25, rng=0)  # fmt: skip
    # row i touches coordinate i alone, once: θ_i = 2·¼·(1 − 0)·i
    np.testing.assert_allclose(run.theta[0], 0.5 * np.arange(1, 7), rtol=1e-15)
    with pytest.raises(InvalidProblem, match="one pass over 6 rows cannot give 7"):
        jf.sgd(SimpleUnit(relu), data, np.zeros((1, 6)), steps=7, epsilon=0.1)


def experiment(convention, seed, x):
    """A1: d = 40, N = 800, Δ = .8; radial risk, and ŷ on the rows x, at t = 0, .1, 1."""
    classes = getattr(GaussianClasses, convention)(40, 0.8)
    unit = SimpleUnit(truncated_relu)
    theta0 = 0.8 / 40**0.5 * np.random.default_rng([seed, 1]).standard_normal((800, 40))
    kept = {
        "risk": of_radii(radial_risk(classes, truncated_relu)),
        "output": lambda theta: unit.value(theta, x).mean(axis=1),
        "square": lambda theta: (unit.value(theta, x) ** 2).mean(),
    }
    return jf.sgd(unit, classes, theta0, steps=50_000, epsilon=2e-5, rng=seed, dtype=np.float32,
                  record=Recording([0.0, 0.1, 1.0], kept))  # fmt: skip


def test_risk_of_the_isotropic_classes():
    runs = [experiment("std", seed, np.zeros((1, 40))) for seed in range(4)]
    np.testing.assert_allclose(runs[0].jko_times, [0, 0.2, 2.0])
    found = np.array([run.statistics["risk"] for run in runs])
    # Within four standard errors of the mean of four runs, each random by its finitely many
    # radii and samples (some .005), and .004 for the biases O(1/N) and O(ε).
    error = 4 * np.std(found, axis=0, ddof=1) / 2 + 0.004
    assert (np.abs(found.mean(axis=0) - [1.7044, 1.3377, 1.0705]) < error).all()
    assert (error < 0.03).all()


@pytest.mark.parametrize("convention", ["std", "var"])
def test_radial_risk_is_the_risk_of_the_network(convention):
    x, y = getattr(GaussianClasses, convention)(40, 0.8).sample(5000, 99)
    found = experiment(convention, 7, x).statistics
    for risk, output, square in zip(*(found[k] for k in ("risk", "output", "square")), strict=True):
        losses = (y - output) ** 2
        # sampling error, and the variance of 800 directions around the rotation-invariant law
        error = 4 * losses.std() / 5000**0.5 + 2 * square / 800
        assert abs(losses.mean() - risk) < error < 0.2


def test_progress_and_status(capsys):
    run = jf.sgd(SimpleUnit(relu), GaussianClasses.std(2, 0.1), np.ones((3, 2)), steps=10,
                 epsilon=0.01, xi=3.0, rng=0, progress=True)  # fmt: skip
    assert "10" in capsys.readouterr().err
    assert run.status is Status.COMPLETE and run.status.ok
    assert (run.steps, run.time, run.jko_time) == (10, 0.1, pytest.approx(0.6))
    np.testing.assert_array_equal(run.measure.points, run.theta)


def test_no_steps():
    run = jf.sgd(SimpleUnit(relu), GaussianClasses.std(2, 0.1), np.ones((3, 2)), steps=0,
                 epsilon=0.01, record=[0.0])  # fmt: skip
    np.testing.assert_array_equal(run.theta, np.ones((3, 2)))
    assert len(run.snapshots) == 1 and run.status is Status.COMPLETE


def test_starting_from_a_measure():
    theta0 = np.arange(6.0).reshape(3, 2)
    options = dict(steps=5, epsilon=0.01, rng=0)
    a = jf.sgd(SimpleUnit(relu), GaussianClasses.std(2, 0.1), theta0, **options)
    b = jf.sgd(SimpleUnit(relu), GaussianClasses.std(2, 0.1), jf.Particles(theta0), **options)
    np.testing.assert_array_equal(a.theta, b.theta)
    np.testing.assert_array_equal(theta0, np.arange(6.0).reshape(3, 2))  # input left alone


class OwnUnit(ScaledUnit):
    """A subclass may mean anything, so it is not compiled."""


@pytest.mark.parametrize(
    ("unit", "batch"), [(ScaledUnit(relu), 1), (ScaledUnit(relu), 3), (OwnUnit(relu), 1)]
)
def test_divergence(unit, batch):
    options = dict(steps=9000, epsilon=50.0, batch=batch, rng=0, record=[0.0])
    with pytest.raises(StepFailed, match="smaller epsilon") as caught, np.errstate(all="ignore"):
        jf.sgd(unit, EmpiricalData([[2.0]], [1.0]), np.ones((4, 3)), lam=0.5, **options)
    run = caught.value.trajectory
    assert run.status is Status.NON_FINITE and np.isfinite(run.theta).all()
    assert len(run.statistics["mean"]) == 1
    with np.errstate(all="ignore"):
        again = jf.sgd(unit, EmpiricalData([[2.0]], [1.0]), np.ones((4, 3)), lam=0.5, throw=False,
                       **options)  # fmt: skip
    assert again.status is Status.NON_FINITE and again.steps == run.steps


@pytest.mark.parametrize("how", ["signal", "exception"])
def test_interrupt_keeps_what_there_is(how):
    def interrupt(theta):
        if how == "signal":
            signal.raise_signal(signal.SIGINT)
        else:
            raise KeyboardInterrupt
        return 0.0

    options = dict(epsilon=1e-3, rng=0)
    unit, population, theta0 = SimpleUnit(relu), GaussianClasses.std(7, 0.3), np.eye(7)
    run = jf.sgd(unit, population, theta0, steps=5000,
                 record=Recording([0.3], {"stop": interrupt}), **options)  # fmt: skip
    assert (run.status, run.steps) == (Status.INTERRUPTED, 300)
    whole = jf.sgd(unit, population, theta0, steps=300, **options)
    np.testing.assert_array_equal(run.theta, whole.theta)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Flat(Unit):
    """The least a user's unit has."""

    def value(self, theta, x):
        return np.zeros((len(x), len(theta)))

    def vjp(self, theta, x, c):
        return np.zeros_like(theta)


GOOD = dict(steps=3, epsilon=0.1, rng=0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": np.nan}, "epsilon"),
        ({"epsilon": 1j}, "epsilon"),
        ({"xi": -1.0}, "xi"),
        ({"xi": lambda t: -1.0}, "xi"),
        ({"xi": lambda t: np.nan}, "xi"),
        ({"xi": lambda t: 1j}, "xi"),
        ({"xi": "fast"}, "xi"),
        ({"beta": 0.0}, "beta"),
        ({"beta": -1}, "beta"),
        ({"beta": np.nan}, "beta"),
        ({"lam": -0.1}, "lam"),
        ({"lam": np.inf}, "lam"),
        ({"steps": -1}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
        ({"batch": 0}, "batch"),
        ({"threads": 0}, "threads"),
        ({"noise": "loud"}, "default"),
        ({"dtype": np.int64}, "float32"),
        ({"record": [0.5]}, "record times"),
        ({"record": [-0.1]}, "record times"),
        ({"record": Recording([0.0], {"x": 3})}, "'x' must be a function"),
        ({"record": Recording([0.0], {"x": lambda theta: "a"})}, "real numbers"),
    ],
)
def test_bad_arguments(change, text):
    with pytest.raises(InvalidProblem, match=text):
        jf.sgd(SimpleUnit(relu), GaussianClasses.std(2, 0.1), np.ones((4, 2)), **{**GOOD, **change})


@pytest.mark.parametrize(
    ("theta0", "error"),
    [
        (np.ones((4, 3)), InvalidProblem),
        (np.ones(4), InvalidMeasure),
        (np.ones((0, 2)), InvalidMeasure),
        (np.full((4, 2), np.nan), InvalidMeasure),
        (np.full((4, 2), 1j), InvalidMeasure),
        (jf.Particles([[1.0, 2.0], [0.0, 0.0]], [0.3, 0.7]), InvalidMeasure),
        (jf.Radial([1.0, 2.0], 2), InvalidMeasure),
    ],
)
def test_bad_start(theta0, error):
    with pytest.raises(error, match="theta0"):
        jf.sgd(SimpleUnit(relu), GaussianClasses.std(2, 0.1), theta0, **GOOD)


def test_bad_unit():
    with pytest.raises(InvalidProblem, match="subclass"):
        jf.sgd(np.tanh, GaussianClasses.std(2, 0.1), np.ones((4, 2)), **GOOD)


class Gives:
    """A population that gives what it is told."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def sample(self, n, rng):
        return self.x(n), self.y(n)


@pytest.mark.parametrize(
    ("population", "text"),
    [
        (Gives(lambda n: np.ones(n), np.ones), "must give x of shape"),
        (Gives(lambda n: np.ones((n, 2)), lambda n: np.ones((n, 1))), "must give x of shape"),
        (Gives(lambda n: np.ones((n - 1, 2)), np.ones), "must give x of shape"),
        (Gives(lambda n: np.full((n, 2), np.nan), np.ones), "NaN"),
        (Gives(lambda n: np.full((n, 2), 1j), np.ones), "complex"),
        (Gives(lambda n: np.ones((n, 3)), np.ones), "dimension"),
        (object(), "EmpiricalData"),
    ],
)
@pytest.mark.parametrize("batch", [1, 4])
def test_bad_populations(population, text, batch):
    with pytest.raises(InvalidProblem, match=text):
        jf.sgd(SimpleUnit(relu), population, np.ones((4, 2)), batch=batch, **GOOD)


def test_a_users_unit_with_wrong_shapes():
    class Wrong(Flat):
        def vjp(self, theta, x, c):
            return np.ones(3)

    with pytest.raises(InvalidProblem, match=r"Wrong.vjp must give real numbers of shape \(4, 1\)"):
        jf.sgd(Wrong(), EmpiricalData([[0.0]], [1.0]), np.ones((4, 1)), **GOOD)
