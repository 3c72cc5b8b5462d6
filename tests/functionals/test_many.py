"""A functional at many measures is the functional at each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.many import at_many, is_exact, values_at
from jkoflow.measures.lengths import norms
from jkoflow.measures.many import Laws
from jkoflow.status import InvalidFunctional, NotDefined

RNG = np.random.default_rng(11)
B = RNG.normal(size=(4, 3))


def risk(d: int) -> jf.Risk:
    b = B[:, :d]
    return jf.Risk(lambda t: np.tanh(t @ b.T).T, np.arange(4.0))


def families() -> dict[str, tuple[Any, list[Any]]]:
    """A functional with every sort of term, and five measures, of each kind."""
    wave = jf.Potential(lambda x: np.cos(x).sum(axis=1), gradient=lambda x: -np.sin(x))
    F = 0.7 * wave + jf.QuadraticPotential(1.3) + 0.4 * jf.QuadraticInteraction(0.6)
    line, radial = jf.Quantiles.normal(0.3, 1.2, 30), jf.Radial.normal(0.8, 5, 30)
    cloud, scales = jf.Particles(RNG.normal(size=(9, 3))), RNG.uniform(0.5, 2.0, 5)
    A = RNG.normal(size=(5, 3, 3))
    return {
        "quantiles": (F + risk(1) + jf.Entropy() / 3 + jf.PowerEnergy(1.7),
                      [line.with_edges(s * line.edges + s) for s in scales]),
        "radial": (F + jf.Entropy() - 0.5 * jf.PowerEnergy(2.0),
                   [radial.with_edges(s * radial.edges) for s in scales]),
        "particles": (F + risk(3), [cloud.displaced(s * cloud.points) for s in scales]),
        "gaussian": (F + risk(3) + jf.Entropy() / 2 + jf.QuadraticPotential(0.3, center=[1, 0, 2]),
                     [jf.Gaussian(RNG.normal(size=3), a @ a.T) for a in A]),
        "gaussian, nothing": (0.0 * F, [jf.Gaussian(a[0], a @ a.T) for a in A]),
        "gaussian, power": (jf.PowerEnergy(1.4), [jf.Gaussian(a[0], a @ a.T) for a in A]),
    }  # fmt: skip


@pytest.mark.parametrize("name", families())
def test_many_are_each_of_them(name: str) -> None:
    F, measures = families()[name]
    many = at_many(F, Laws(measures))
    for k, mu in enumerate(measures):
        gradient = F.gradient(mu)
        size = max(1.0, np.abs(gradient).max())
        # both are sums of ten terms of that size; only their order differs
        assert abs(many.energy[k] - F.value(mu)) < 1e-12 * (1 + abs(F.value(mu)))
        if name == "gaussian, power":  # whose ∇ρ^(m−1) is no polynomial: see the next test
            continue
        if mu.kind == "gaussian":
            gradient = Laws([mu]).tangents(gradient[None])[0]
        else:
            assert abs(many.slope[k] - norms(gradient[None], mu.weights)[0]) < 1e-12 * size
        np.testing.assert_allclose(many.gradient[k], gradient, atol=1e-12 * size)


@pytest.mark.parametrize("m", [0.9, 1.4, 3.0])
@pytest.mark.parametrize("d", [1, 3, 6])
def test_powers_on_gaussians_have_the_derivatives_of_their_values(d: int, m: float) -> None:
    """x ↦ x + tH(x − m) changes E by t⟨∇E, H(x − m)⟩, in R⁶ too, where cubature is of degree 5."""
    rng = np.random.default_rng(d)
    F, root, H = 0.7 * jf.PowerEnergy(m, 1.3), rng.normal(size=(d, d)), rng.normal(size=(d, d))
    mu, H = jf.Gaussian(rng.normal(size=d), root @ root.T + np.eye(d)), H + H.T
    laws, t = Laws([mu]), 1e-5
    assert is_exact(F, laws)
    moved = [F.value(jf.Gaussian(mu.mean(), C @ mu.cov() @ C))
             for C in (np.eye(d) + t * H, np.eye(d) - t * H)]  # fmt: skip
    field = laws.tangents(((mu.points - mu.mean()) @ H)[None])
    slope = float((at_many(F, laws).gradient * field).sum())
    size = np.abs(H).sum() * abs(F.value(mu))
    # differences over 1e-5: t² of the third derivative, and rounding over t
    assert abs(slope - (moved[0] - moved[1]) / (2.0 * t)) < 1e-8 * size


@pytest.mark.parametrize("name", families())
def test_values_at_many_are_those_at_each(name: str) -> None:
    F, measures = families()[name]
    values = values_at(F, Laws(measures))
    assert values.shape == (5,)
    for value, mu in zip(values, measures, strict=True):
        # both are sums of ten terms of that size; only their order differs
        assert abs(value - F.value(mu)) < 1e-12 * (1 + abs(F.value(mu)))


def test_values_at_many_ask_a_functional_of_a_user_itself() -> None:
    """Also one that inherits from the library's, and has a value of its own."""

    class Mine(jf.Entropy):
        def value(self, mu: Any) -> float:
            return 7.0

    class Twice(jf.functionals.base.Sum):
        def value(self, mu: Any) -> float:
            return 14.0

    cells = Laws([jf.Quantiles([0.0, 1.0, s]) for s in (2.0, 3.0)])
    assert list(values_at(Mine(), cells)) == [7.0, 7.0]
    assert list(values_at(Twice([(1.0, Mine())]), cells)) == [14.0, 14.0]
    assert list(values_at(Mine() + jf.QuadraticPotential(0.0), cells)) == [7.0, 7.0]
    # two cells of ½ on at most 3: densities of at most ½; it has no energy per mass
    assert list(values_at(jf.Congestion(1.0), cells)) == [0.0, 0.0]


def test_values_at_many_raise_what_one_of_them_does() -> None:
    """A law without a density among others, and a potential that is not finite somewhere."""
    laws = Laws([jf.Gaussian([0.0, 0.0], np.diag([1.0, s])) for s in (1.0, 0.0)])
    with pytest.raises(NotDefined, match="singular"):
        values_at(jf.Entropy(), laws)
    with pytest.raises(InvalidFunctional, match="NaN or infinity"):
        values_at(jf.Potential(lambda x: np.where(x[:, 0] > 2.5, np.nan, 1.0)),
                  Laws([jf.Quantiles([0.0, 1.0, s]) for s in (2.0, 3.0)]))  # fmt: skip


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("first", [0.0, 0.3])
def test_slopes_of_volumes_are_those_of_one_law(d: int, first: float) -> None:
    edges = first + np.sort(RNG.uniform(0.1, 2.0, (3, 12)), axis=1)
    edges[:, 0] = first
    for law in (jf.Radial(edges[0], d), jf.Quantiles(edges[0])):
        many = law.volume_slopes(edges)
        for k in range(3):
            one = law.with_edges(edges[k]).log_volume_derivatives()
            for a, b in zip(many, (one.value, one.a, one.b), strict=True):
                np.testing.assert_allclose(a[k], b, rtol=1e-12, atol=1e-13)



class Odd(jf.functionals.Functional):
    """Answers with whatever it is given."""

    def __init__(self, value: object, gradient: object = None) -> None:
        self.answer, self.slope = value, gradient

    def value(self, mu):  # type: ignore[no-untyped-def]
        return self.answer

    def first_variation(self, mu, at):  # type: ignore[no-untyped-def]
        return np.zeros(len(at))

    def gradient(self, mu):  # type: ignore[no-untyped-def]
        return np.zeros_like(mu.points) if self.slope is None else self.slope

    def spec(self) -> dict[str, object]:
        return {"name": "Odd"}


@pytest.mark.parametrize(
    "F", [Odd(np.nan), Odd(np.inf), Odd(1j), Odd(np.ones(3)), Odd(0.0, np.zeros(2)),
          Odd(0.0, np.full((2, 1), np.nan)), Odd(0.0, np.full((2, 1), 1j))]
)  # fmt: skip
def test_answers_that_make_no_sense_are_refused(F: Odd) -> None:
    mu = jf.Particles([0.0, 1.0])
    with pytest.raises(InvalidFunctional):
        at_many(F, Laws([mu, mu]))


@pytest.mark.parametrize("F", [
    jf.QuadraticPotential(1.0), jf.Potential(lambda x: 0.7 * (x * x).sum(axis=1)),
])  # fmt: skip
def test_values_keep_their_digits_beside_larger_ones(F: Any) -> None:
    """∫V dρ of laws from 1 to 10⁻⁸: the rounding of the largest, 10⁻¹⁷, is ten percent of the
    least, and a run that settles was said to contradict its convexity by it."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        mu = jf.Quantiles(np.sort(rng.normal(size=12)))
        laws = Laws([mu.with_edges(scale * mu.edges) for scale in (1.0, 1e-2, 1e-5, 1e-8)])
        found = at_many(F, laws).energy
        # sums of twelve terms in another order
        np.testing.assert_allclose(found, [F.value(nu) for nu in laws.measures], rtol=1e-14)
