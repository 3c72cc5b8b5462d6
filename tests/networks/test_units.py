"""Units: every derivative against the value, bounds, and the least a user's unit needs."""

import numpy as np
import pytest

from jkoflow.networks.activations import relu, smooth_truncated_relu, softplus, tanh
from jkoflow.networks.units import ScaledUnit, SimpleUnit, Unit
from jkoflow.status import InvalidFunctional, MissingStructure

UNITS = [
    SimpleUnit(tanh),
    SimpleUnit(smooth_truncated_relu),
    ScaledUnit(tanh),
    ScaledUnit(softplus),
]


def data(unit, n=7, b=5, d=3, seed=0):
    rng = np.random.default_rng(seed)
    theta, v = rng.standard_normal((2, n, unit.dim(d)))
    return theta, rng.standard_normal((b, d)), v, rng.standard_normal(b)


@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_jvp_is_the_derivative_of_the_value(unit):
    theta, x, v, _ = data(unit)
    h = 1e-5  # central difference: error h²·σ''' ~ 1e-8, rounding 1e-16/h = 1e-11
    difference = (unit.value(theta + h * v, x) - unit.value(theta - h * v, x)) / (2 * h)
    np.testing.assert_allclose(unit.jvp(theta, x, v), difference, atol=1e-6)


@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_first_derivatives_agree_with_each_other(unit):
    theta, x, v, c = data(unit)
    J = unit.jacobian(theta, x)
    # identities up to rounding of a few dozen terms of size ~10
    np.testing.assert_allclose(np.einsum("bnd,nd->bn", J, v), unit.jvp(theta, x, v), atol=1e-12)
    np.testing.assert_allclose(np.einsum("bnd,b->nd", J, c), unit.vjp(theta, x, c), atol=1e-12)


@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_curvature_is_the_derivative_of_the_vjp(unit):
    theta, x, v, c = data(unit)
    h = 1e-5
    difference = (unit.vjp(theta + h * v, x, c) - unit.vjp(theta - h * v, x, c)) / (2 * h)
    H = unit.curvature(theta, x, c)
    np.testing.assert_array_equal(H, H.transpose(0, 2, 1))
    np.testing.assert_allclose(np.einsum("nij,nj->ni", H, v), difference, atol=1e-5)


def test_curvature_in_chunks():
    """Many inputs in a high dimension go through several matrix products."""
    unit = SimpleUnit(tanh)
    theta, x, _, c = data(unit, n=2, b=2000, d=60)
    whole = unit.curvature(theta, x, c)
    s = c[:, None] * tanh.second(x @ theta.T)
    np.testing.assert_allclose(whole, np.einsum("bn,bi,bj->nij", s, x, x), atol=1e-9)


@pytest.mark.parametrize("sigma", [tanh, smooth_truncated_relu, softplus], ids=repr)
def test_bounds_of_simple_units(sigma):
    unit = SimpleUnit(sigma)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 3))
    theta = rng.standard_normal((4000, 3)) * 2
    slopes = np.linalg.norm(unit.jacobian(theta, x), axis=2).max(axis=1)
    assert (slopes <= unit.slope_bounds(x)).all()
    assert (slopes >= 0.9 * unit.slope_bounds(x)).all()  # 4000 points come within 10 %
    for b in range(4):
        H = unit.curvature(theta, x[b : b + 1], np.ones(1))
        worst = np.linalg.norm(H, ord=2, axis=(1, 2)).max()
        bound = unit.curvature_bounds(x)[b]
        assert 0.9 * bound <= worst <= bound * (1 + 1e-12)


def test_bounds_at_kinks_and_at_zero_input():
    np.testing.assert_array_equal(SimpleUnit(relu).curvature_bounds(np.eye(2)), [np.inf, np.inf])
    np.testing.assert_array_equal(SimpleUnit(relu).curvature_bounds(np.zeros((1, 2))), [0])


def test_scaled_units_claim_nothing():
    assert np.isinf(ScaledUnit(tanh).slope_bounds(np.ones((2, 3)))).all()
    assert np.isinf(ScaledUnit(tanh).curvature_bounds(np.ones((2, 3)))).all()


def test_dimensions():
    assert SimpleUnit(relu).dim(7) == 7
    assert ScaledUnit(relu).dim(7) == 9


class Quadratic(Unit):
    def value(self, theta, x):
        return (x @ theta.T) ** 2

    def vjp(self, theta, x, c):
        return (2 * c[:, None] * (x @ theta.T)).T @ x


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("jvp", 3), ("jacobian", 2), ("curvature", 3)],
)
def test_a_users_unit_says_what_it_lacks(method, arguments):
    theta = np.ones((2, 3))
    with pytest.raises(MissingStructure, match=f"Quadratic has no {method}: define {method}"):
        getattr(Quadratic(), method)(*[theta] * arguments)


def test_a_users_unit_claims_no_bounds_and_no_dimension():
    assert np.isinf(Quadratic().slope_bounds(np.ones((2, 3)))).all()
    assert np.isinf(Quadratic().curvature_bounds(np.ones((2, 3)))).all()
    assert Quadratic().dim(3) is None


def test_value_and_vjp_are_required():
    class Empty(Unit):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Empty()


def test_specs():
    assert SimpleUnit(tanh).spec() != ScaledUnit(tanh).spec() != SimpleUnit(relu).spec()
    assert Quadratic().spec()["unit"] == "Quadratic"


@pytest.mark.parametrize("wrong", [np.tanh, "relu", None])
def test_activation_must_be_one(wrong):
    with pytest.raises(InvalidFunctional, match="SmoothActivation"):
        SimpleUnit(wrong)
