"""Faults without a name: small ones in random directions, turned Gaussians, in any units."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import Verdict
from jkoflow.check import check_step
from jkoflow.flows.complete import witness

TAU = 0.21
R = Verdict.REJECTED


def quartic(centre: Any) -> jf.Potential:
    """Σ_k ¼ (x_k − c_k)⁴ + ½ (x_k − c_k)², which no cubature of low degree integrates twice."""

    def hessian(x: Any) -> Any:
        return (3.0 * (x - centre) ** 2 + 1.0)[:, :, None] * np.eye(x.shape[1])

    return jf.Potential(
        lambda x: (0.25 * (x - centre) ** 4 + 0.5 * (x - centre) ** 2).sum(axis=1),
        lambda x: (x - centre) ** 3 + (x - centre), hessian, convexity=1.0,
    )  # fmt: skip


def functional(kind: str) -> Any:
    V = quartic(np.array([0.4, -0.3, 0.2])) if kind in ("gaussian", "points") else None
    V = V or jf.QuadraticPotential(1.3, {"line": [0.7], "radial": None, "mesh": [0.7, 0.1]}[kind])
    return V if kind in ("points", "mesh") else V + jf.Entropy() * 0.3


def start(kind: str) -> Any:
    rng = np.random.default_rng(6)
    if kind == "points":
        weights = rng.uniform(0.3, 2.0, 31)
        return jf.Particles(rng.normal(size=(31, 3)), weights / weights.sum())
    if kind == "gaussian":
        root = rng.normal(size=(3, 3))
        return jf.Gaussian([0.9, 0.1, -0.6], root @ root.T / 3 + 0.2 * np.eye(3))
    if kind == "mesh":
        return jf.Mesh.disc(1.0, 4)
    return jf.Quantiles.normal(-0.3, 0.8, 61) if kind == "line" else jf.Radial.normal(0.9, 7, 61)


@functools.cache
def honest(kind: str) -> tuple[Any, Any, Any]:
    """F, the start, and the law after one step."""
    F, mu = functional(kind), start(kind)
    return F, mu, jf.flow(jf.Problem(F, mu, TAU, steps=1)).final


def verdicts(kind: str, nu: Any) -> Any:
    F, mu, _ = honest(kind)
    return check_step(F, mu, nu, TAU, witness=witness(nu, mu, None))


KINDS = ["points", "gaussian", "line", "radial", "mesh"]


def displaced(kind: str, nu: Any, share: float, seed: int) -> Any:
    """Moved in a random direction by this share of what the step moved, in L²(ρ)."""
    rng, mu = np.random.default_rng(seed), honest(kind)[1]
    if kind == "gaussian":
        turn = rng.normal(size=(3, 3))
        turn, shift = turn + turn.T, rng.normal(size=3)
        by = share * length(mu, nu) / math.sqrt(np.trace(turn @ nu.cov() @ turn) + shift @ shift)
        change = np.eye(3) + by * turn
        cov = change @ nu.cov() @ change
        return jf.Gaussian(nu.mean() + by * shift, 0.5 * (cov + cov.T))
    v = rng.normal(size=nu.points.shape)
    if hasattr(nu, "edges"):  # a wave, lest cells fold; and no radius goes below zero
        v = np.cos(rng.uniform(1.0, 20.0) * np.linspace(0.0, 1.0, len(v)))[:, None]
        v[0] = 0.0
    return nu.displaced(v * share * length(mu, nu) / math.sqrt(nu.weights @ (v * v).sum(axis=1)))


def length(mu: Any, nu: Any) -> float:
    """W2, or the length of another way, which is enough of a scale."""
    return math.sqrt(nu.weights @ ((nu.points - mu.points) ** 2).sum(axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_honest_step_is_accepted(kind: str) -> None:
    report = verdicts(kind, honest(kind)[2])
    assert report.verdict is Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [5e-4, 5e-3])
def test_laws_that_are_off_by_a_little_anywhere_are_rejected(kind: str, share: float) -> None:
    """r ≥ δ(1/τ + λ) for whatever displacement of size δ, five times the bound and fifty times."""
    for seed in range(6):
        report = verdicts(kind, displaced(kind, honest(kind)[2], share, seed))
        assert report["stationarity"].verdict is R, report.text()


@pytest.mark.parametrize("fault", ["turned", "wider", "moved"])
def test_gaussians_by_cubature_are_no_less_looked_at(fault: str) -> None:
    nu = honest("gaussian")[2]
    mean, cov = nu.mean(), nu.cov()
    if fault == "turned":  # by a hundredth: all its eigenvalues are right
        c, s = math.cos(0.01), math.sin(0.01)
        Q = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        cov = Q @ cov @ Q.T
    elif fault == "wider":
        cov = 1.002 * cov
    else:
        mean = mean + 1e-3 * length(honest("gaussian")[1], nu)
    report = verdicts("gaussian", jf.Gaussian(mean, 0.5 * (cov + cov.T)))
    assert report["stationarity"].verdict is R, report.text()


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_energy_change_nothing(unit: float) -> None:
    """cF with τ/c has the same step."""
    F, mu, nu = honest("line")
    for moved, verdict in ((0.0, Verdict.ACCEPTED), (1e-3, R)):
        law = nu.displaced(np.full(nu.points.shape, moved))
        report = check_step(unit * F, mu, law, TAU / unit)
        assert report["stationarity"].verdict is verdict, report.text()
        assert report.verdict is verdict


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dim", [2, 23])
def test_units_of_length_and_any_matrix(unit: float, dim: int) -> None:
    """F = ½∫xᵀAx + gH from N(m, Σ): S = B^{-½}·½(C + (C² − 4c²)^½)·B^{-½}, B = I + τA, c = gτ,
    C = B^{-½}(Σ + 2cB)B^{-½}; and the map B − cS⁻¹ leads back to Σ."""
    rng, eye = np.random.default_rng(dim), np.eye(dim)
    roots = rng.normal(size=(2, dim, dim))
    A, cov = (root @ root.T / dim + 0.2 * eye for root in roots)
    cov, mean, c = unit**2 * cov, unit * rng.normal(size=dim), 0.7 * unit**2 * TAU
    B = eye + TAU * A
    values, vectors = np.linalg.eigh(B)
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    values, vectors = np.linalg.eigh(inverse @ (cov + 2.0 * c * B) @ inverse)
    half = 0.5 * (values + np.sqrt(values**2 - 4.0 * c**2))
    S = inverse @ (vectors * half) @ vectors.T @ inverse
    S = 0.5 * (S + S.T)
    F = jf.Potential(
        lambda x: 0.5 * np.einsum("ni,ij,nj->n", x, A, x), lambda x: x @ A,
        convexity=float(np.linalg.eigvalsh(A)[0]),
    ) + jf.Entropy() * (c / TAU)  # fmt: skip
    mu = jf.Gaussian(mean, cov)
    for factor, verdict in ((1.0, Verdict.ACCEPTED), (1.002, R)):
        nu = jf.Gaussian(np.linalg.solve(B, mean), factor * S)
        report = check_step(F, mu, nu, TAU, witness=witness(nu, mu, None))
        assert report.verdict is verdict, report.text()
