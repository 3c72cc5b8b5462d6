"""Functionals of one's own: derivatives against closed ones, and every way to answer badly."""

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.base import Smooth
from jkoflow.status import InvalidFunctional, MissingExtra


def spread(x, w):
    """tr cov, so that gradient = 2(x − m) and δ(x) = |x − m|² up to a constant."""
    return float(w @ ((x - w @ x) ** 2).sum(axis=1))


def quartic(x, w):
    return float(w @ (x**4).sum(axis=1)) + np.sin(float(w @ x[:, 0]))


def quartic_gradient(x, w):
    g = 4 * x**3
    g[:, 0] += np.cos(w @ x[:, 0])
    return g


MU = jf.Particles(
    np.random.default_rng(0).normal(size=(9, 2)), np.random.default_rng(1).dirichlet(np.ones(9))
)


def test_both_forms_of_the_decorator():
    bare = jf.functional(spread)
    called = jf.functional(convexity=0.0)(spread)
    assert isinstance(bare, Smooth) and isinstance(called, Smooth)
    assert bare.value(MU) == called.value(MU) == spread(MU.points, MU.weights)
    assert (bare.convexity, called.convexity) == (None, 0.0)
    assert bare(MU.points, MU.weights) == bare.value(MU)
    assert repr(bare) == "spread" and "tr cov" in bare.__doc__


@pytest.mark.parametrize("mu", [MU, jf.Quantiles.normal(0.3, 0.8, 10)], ids=lambda m: m.kind)
def test_gradient_by_differences(mu):
    F = jf.functional(quartic)
    # central differences: h² with h = (eps/w)^(1/3) ≤ 1e-4 for weights ≥ 2e-4
    want = quartic_gradient(mu.points, mu.weights)
    assert F.gradient(mu) == pytest.approx(want, abs=1e-6)


def test_gradient_at_a_point_of_weight_zero():
    mu = jf.Particles([[0.0], [2.0], [1.5]], [0.5, 0.5, 0.0])
    # through the first variation: 1e-11/1e-3 of rounding
    assert jf.functional(spread).gradient(mu).ravel() == pytest.approx([-2.0, 2.0, 1.0], abs=1e-5)


def test_first_variation_is_normalised():
    F = jf.functional(spread)
    at = np.array([[0.4, -1.0], [2.0, 0.3]])
    mean = MU.mean()
    want = ((at - mean) ** 2).sum(axis=1) - spread(MU.points, MU.weights)
    # one-sided differences of a quadratic are exact; rounding is 1e-16/1e-5
    assert F.first_variation(MU, at) == pytest.approx(want, abs=1e-9)
    assert MU.weights @ F.first_variation(MU, MU.points) == pytest.approx(0.0, abs=1e-9)


def test_expansion_has_taylor_order_three(taylor_rates):
    F = jf.functional(gradient=quartic_gradient)(quartic)
    assert taylor_rates(F, MU)[1] == pytest.approx(3.0, abs=0.3)  # h = 1e-2 is not yet asymptotic


def test_curvature_without_a_gradient():
    v = np.random.default_rng(2).normal(size=MU.points.shape)
    bare = jf.functional(quartic).curvature_at_points(MU.points, MU.weights)
    F = jf.functional(gradient=quartic_gradient)(quartic)
    exact = F.curvature_at_points(MU.points, MU.weights)
    assert not bare.blocks.any()
    assert bare.apply(v) == pytest.approx(exact.apply(v), abs=1e-4)  # as documented
    assert bare.apply(0 * v) == pytest.approx(0.0, abs=0)


def test_sums_and_multiples():
    F = 2 * jf.functional(spread) + jf.QuadraticPotential(1.0)
    want = 2 * spread(MU.points, MU.weights) + 0.5 * MU.integrate(lambda x: (x**2).sum(axis=1))
    assert F.value(MU) == pytest.approx(want, rel=1e-14)


class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self, x, w):
        self.calls += 1
        return float(self.calls)


def changes(x, w):
    x -= w @ x
    return float(w @ (x**2).sum(axis=1))


def changes_weights(x, w):
    w[0] = 1.0
    return 0.0


def fails(x, w):
    raise KeyError("no such thing")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, w: (x**2).sum(axis=1), "array of shape"),
        (lambda x, w: float("nan"), "NaN"),
        (lambda x, w: 1.0 + 0j, "real"),
        (lambda x, w: None, "return statement"),
        (lambda x, w: "energy", "number"),
        (lambda x, w: "3.0", "real number"),
        (fails, "KeyError"),
        (changes, "changes its input"),
        (changes_weights, "changes its input"),
        (Counter(), "depend on chance"),
    ],
)
def test_bad_answers(function, message):
    with pytest.raises(InvalidFunctional, match=message):
        jf.functional(function).value(MU)


def test_the_cause_is_chained():
    with pytest.raises(InvalidFunctional) as caught:
        jf.functional(fails).value(MU)
    assert isinstance(caught.value.__cause__, KeyError)


def test_infinity_is_a_value():
    assert jf.functional(lambda x, w: float("inf")).value(MU) == float("inf")


@pytest.mark.parametrize("bad", [lambda x, w: x[:1], lambda x, w: x * np.nan, lambda x, w: 1j * x])
def test_bad_gradients(bad):
    with pytest.raises(InvalidFunctional, match="gradient of spread"):
        jf.functional(gradient=bad)(spread).gradient(MU)


def test_bad_parameters():
    for arguments in ({"gradient": 3}, {"autodiff": "maths"}):
        with pytest.raises(InvalidFunctional):
            jf.functional(**arguments)(spread)
    with pytest.raises(InvalidFunctional):
        jf.functional(3.0)


def test_identity_is_the_source_and_what_it_captures():
    def made(strength):
        return jf.functional(lambda x, w: strength * float(w @ x[:, 0]))

    assert made(1.0).spec() == made(1.0).spec()
    assert made(1.0).spec() != made(2.0).spec()
    assert jf.functional(spread).spec() != jf.functional(quartic).spec()


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_autodiff(library, taylor_rates):
    pytest.importorskip(library)
    if library == "jax":
        from jax.numpy import sin
    else:
        from torch import sin

    @jf.functional(autodiff=library)
    def energy(x, w):
        return w @ (x**4).sum(1) + sin(w @ x[:, 0])

    by_hand = jf.functional(gradient=quartic_gradient)(quartic)
    assert energy.value(MU) == pytest.approx(quartic(MU.points, MU.weights), rel=1e-14)
    assert energy.gradient(MU) == pytest.approx(by_hand.gradient(MU), rel=1e-12, abs=1e-13)
    at = np.array([[0.4, -1.0], [2.0, 0.3]])
    # by_hand takes one-sided differences: 1e-5² times a third derivative, and rounding 1e-10
    variation = energy.first_variation(MU, at)
    assert variation == pytest.approx(by_hand.first_variation(MU, at), abs=1e-7)
    assert taylor_rates(energy, MU)[1] == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_missing_library_names_its_extra(library, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"jkoflow\[{library}\]"):
        jf.functional(autodiff=library)(spread)
