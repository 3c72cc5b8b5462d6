"""Steps of meshes before the judge: short ones are proved minimal."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

import jkoflow as jf
from jkoflow import Verdict
from jkoflow.check.minimality import PAIRED
from jkoflow.functionals.corners import modulus_in_corners
from jkoflow.measures.mesh_intersections import overlaps_itself
from jkoflow.record import Witness
from jkoflow.steppers import MeshNewton
from jkoflow.transport.pairing import pairing_potentials

TAU = 0.07


@pytest.fixture(scope="module")
def step():
    F = jf.PowerEnergy(2.0, 0.6) + jf.QuadraticPotential(1.3, [0.2, -0.1])
    mu = jf.Mesh.disc(1.1, 6, lambda x: 1.21 - (x**2).sum(axis=1))
    out = MeshNewton().step(F, mu, TAU, {}, None)
    return F, mu, out.measure, out.witness


def test_an_honest_step_is_accepted(step) -> None:
    """Its gap is r²/2κ with κ = 1/τ + λ_S + λ of the triangles."""
    F, mu, nu, witness = step
    report = jf.check_step(F, mu, nu, TAU, witness=witness)
    assert report.verdict is Verdict.ACCEPTED, report.text()
    assert PAIRED in report.assumptions
    r = report["stationarity"].measured
    kappa = 1.0 / TAU + 1.3 + modulus_in_corners(F.internal, nu)
    assert 0 < kappa < 1.0 / TAU + 1.3
    assert report["minimality"].measured == pytest.approx(r * r / (2.0 * kappa), rel=1e-12)


def test_the_bound_is_needed_and_holds_along_the_softest_displacement(step) -> None:
    """There the objective's curvature is below 1/τ + 1.3, since turning triangles gains."""
    F, mu, nu, _ = step
    w, n = np.repeat(mu.weights, 2), 2 * len(mu.nodes)

    def slope(x: np.ndarray) -> np.ndarray:
        at = nu.with_nodes(x.reshape(-1, 2))
        return w * (F.gradient(at) + (at.nodes - mu.nodes) / TAU).ravel()

    def objective(at: jf.Mesh) -> float:
        return F.value(at) + float(mu.weights @ ((at.nodes - mu.nodes) ** 2).sum(axis=1)) / 2 / TAU

    x, h = nu.nodes.ravel(), 1e-6  # differences of slopes of order 1e-10 at 1e-6 apart
    bend = np.array([(slope(x + e) - slope(x - e)) / (2 * h) for e in h * np.eye(n)])
    values, vectors = scipy.linalg.eigh(0.5 * (bend + bend.T), np.diag(w))
    kappa = 1.0 / TAU + 1.3 + modulus_in_corners(F.internal, nu)
    assert kappa < values[0] < 0.95 * (1.0 / TAU + 1.3)
    size = 1e-3 / np.abs(vectors[:, 0]).max()
    for sign in (-1.0, 1.0):
        here = nu.with_nodes((x + sign * size * vectors[:, 0]).reshape(-1, 2))
        gain, squared = objective(here) - objective(nu), slope(here.nodes.ravel()) ** 2 @ (1.0 / w)
        assert squared / 2 / (1.0 / TAU + 1.3) < 0.97 * gain
        assert gain < squared / 2 / (1.0 / TAU + 1.3 + modulus_in_corners(F.internal, here))


def test_a_long_step_is_not_proved_minimal(step) -> None:
    """Where nodes cross cells, turning triangles may be worth its transport."""
    F, _, _, _ = step
    mu = jf.Mesh.disc(1.1, 24, lambda x: 1.21 - (x**2).sum(axis=1))
    out = MeshNewton().step(F, mu, 0.07, {}, None)
    found = jf.check_step(F, mu, out.measure, 0.07, witness=out.witness)["minimality"]
    assert found.verdict is Verdict.UNDECIDED and "smaller τ" in found.reason


@pytest.mark.parametrize(("m", "tau", "verdict", "reason"), [
    (2.0, 0.01, Verdict.ACCEPTED, ""),
    (2.0, 0.1, Verdict.UNDECIDED, "smaller τ"),
    (0.62, 0.01, Verdict.UNDECIDED, "not convex"),  # below 2/3 not displacement convex in space
])  # fmt: skip
def test_in_space_steps_have_to_be_shorter(m, tau, verdict, reason) -> None:
    F, mu = jf.PowerEnergy(m, 0.5), jf.Mesh.ball(1.0, 3, lambda x: 1.1 - (x**2).sum(axis=1))
    out = MeshNewton().step(F, mu, tau, {}, None)
    report = jf.check_step(F, mu, out.measure, tau, witness=out.witness)
    assert report["stationarity"].verdict is Verdict.ACCEPTED
    assert report["minimality"].verdict is verdict and reason in report["minimality"].reason


def test_a_mesh_that_covers_itself_is_not_proved_minimal() -> None:
    """Two discs that spread pass through each other's edges, between the nodes: no node turns
    round another, so that W2 is certified, but the densities do not feel each other."""
    part, turn = jf.Mesh.disc(0.5, 4, lambda x: 0.3 - (x**2).sum(axis=1)), np.pi / 24
    turned = part.nodes @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    triangles = np.concatenate([part.simplices, part.simplices + len(part.nodes)])
    nodes = np.concatenate([part.nodes - [0.502, 0.0], turned + np.array([0.502, 0.0])])
    mu = jf.Mesh(nodes, triangles, np.concatenate([part.mass, part.mass]) / 2)
    problem = jf.Problem(jf.PowerEnergy(2.0), mu, tau=2e-4, steps=4)
    run = jf.flow(problem)
    for before, record in zip(run.measures, run.records, strict=False):
        after, alone = record.measure, record.index <= 2
        report = jf.check_step(problem.functional, before, after, 2e-4, witness=record.witness)
        assert overlaps_itself(after.nodes, triangles) is not alone
        assert (report.verdict is Verdict.ACCEPTED) is alone, report.text()
        assert report["transport"].verdict is Verdict.ACCEPTED
    assert "cover each other" in report["minimality"].reason
    assert jf.check_run(problem, run).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("tau", [1e-11, 1e-7])
def test_a_cut_does_not_close_over_itself(tau: float) -> None:
    """Nothing moves next to a cut through a uniform density. Nodes of either side, which feel the
    pressure of theirs alone, go over to the other, however short the step is."""
    left, right = jf.Mesh.box([-1, 0], [0, 1], (3, 3)), jf.Mesh.box([0, 0], [1, 1], (3, 3))
    triangles = np.concatenate([left.simplices, right.simplices + len(left.nodes)])
    mu, F = jf.Mesh(np.concatenate([left.nodes, right.nodes]), triangles), jf.Entropy()
    out = MeshNewton().step(F, mu, tau, {}, None)
    assert -10.0 * tau < out.measure.nodes[len(left.nodes) :, 0].min() < -5.0 * tau
    report = jf.check_step(F, mu, out.measure, tau, witness=out.witness)
    assert report["stationarity"].verdict is Verdict.ACCEPTED
    assert report.verdict is Verdict.UNDECIDED, report.text()
    assert "cover each other" in report["minimality"].reason


def test_runs_of_either_order_are_accepted() -> None:
    F = jf.PowerEnergy(2.0) + jf.QuadraticPotential(0.5)
    problem = jf.Problem(F, jf.Mesh.disc(1.0, 6, lambda x: 1.0 - (x**2).sum(axis=1)),
                         tau=0.02, steps=3)  # fmt: skip
    assert jf.check_run(problem, jf.flow(problem)).verdict is Verdict.ACCEPTED
    run = jf.flow(problem, jf.steppers.SecondOrder())
    report = jf.check_second_order(problem, run)
    assert report.verdict is Verdict.ACCEPTED, report.text()


def test_the_smooth_part_s_claim_is_attacked_by_itself(step) -> None:
    """5 is more than V has, and less than V and ∫ρ² have together."""
    _, mu, _, _ = step
    V = jf.Potential(lambda x: 0.5 * (x * x).sum(axis=1), gradient=lambda x: x, convexity=5.0)
    F = 30.0 * jf.PowerEnergy(2.0) + V
    found = jf.check_functional(F, mu, rng=1)
    assert found["convexity"].verdict is Verdict.REJECTED, found.text()


def test_without_a_density_the_step_is_proved_minimal() -> None:
    F = jf.QuadraticPotential(1.3, [0.2, -0.1])
    problem = jf.Problem(F, jf.Mesh.disc(1.0, 4), tau=TAU, steps=3)
    assert jf.check_run(problem, jf.flow(problem)).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(("claim", "change"), [
    ("stationarity", lambda F, mu, nu, w: (1.01 * F, mu, nu, w)),
    ("stationarity", lambda F, mu, nu, w: (F, mu, nu.displaced(0.002 * nu.nodes), w)),
    ("transport", lambda F, mu, nu, w: (F, mu, nu, Witness("pairing", {
        **w.arrays, "f": w.arrays["f"] + 0.01 * np.sin(9 * nu.nodes[:, 0])}))),
    ("transport", lambda F, mu, nu, w: (F, mu, nu, Witness("pairing", {
        **w.arrays, "order": w.arrays["order"][::-1].copy()}))),
])  # fmt: skip
def test_wrong_steps_are_rejected(step, claim, change) -> None:
    F, mu, nu, witness = change(*step)
    report = jf.check_step(F, mu, nu, TAU, witness=witness)
    assert report[claim].verdict is Verdict.REJECTED, report.text()


def test_a_density_does_not_turn_free_of_charge() -> None:
    """Every other triangle of a hexagon is nine times as dense, and all outer nodes weigh the
    same: turned by 60° their cloud is where it was, optimally paired, and the density is not."""
    angle, corner = np.arange(6) * np.pi / 3, 1 + np.arange(6)
    fan = np.column_stack([0 * corner, corner, np.roll(corner, -1)])
    nodes = np.concatenate([[[0.0, 0.0]], np.column_stack([np.cos(angle), np.sin(angle)])])
    mu, F, order = jf.Mesh(nodes, fan, [0.3, 0.1 / 3] * 3), jf.Entropy(), [0, *np.roll(corner, -1)]
    out = MeshNewton().step(F, mu, 1e-2, {}, None)
    assert jf.check_step(F, mu, out.measure, 1e-2, witness=out.witness).verdict is Verdict.ACCEPTED
    turned = out.measure.with_nodes(turned_by(out.measure.nodes, np.pi / 3))
    assert np.ptp(mu.weights[1:]) < 1e-15
    every = {"order": np.array(order), "rows": np.arange(7), "columns": np.array(order),
             "values": mu.weights}  # fmt: skip
    moved = ((turned.nodes - nodes[order]) ** 2).sum(axis=1)
    found = pairing_potentials(turned.nodes, nodes[order], moved)
    assert found is not None
    g = np.empty(7)
    g[order] = found.g
    for kind in ("pairing", "coupling"):
        witness = Witness(kind, {**every, "f": found.f, "g": g})
        report = jf.check_step(F, mu, turned, 1e-2, witness=witness)
        assert report["transport"].verdict is Verdict.UNDECIDED, report.text()
    itself = {**every, "order": np.arange(7), "columns": np.arange(7)}
    for kind in ("pairing", "coupling"):
        witness = Witness(kind, {**itself, **{k: out.witness.arrays[k] for k in "fg"}})
        report = jf.check_step(F, mu, out.measure, 1e-2, witness=witness)
        assert report.verdict is Verdict.ACCEPTED, report.text()


def turned_by(x: np.ndarray, angle: float) -> np.ndarray:
    return x @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def test_without_potentials_or_on_another_mesh_nothing_is_decided(step) -> None:
    F, mu, nu, witness = step
    bare = Witness("pairing", {"order": witness.arrays["order"]})
    assert jf.check_step(F, mu, nu, TAU, witness=bare).verdict is Verdict.UNDECIDED
    other = jf.Mesh(nu.nodes, np.roll(nu.simplices, 1, axis=0), nu.mass)
    report = jf.check_step(F, mu, other, TAU, witness=witness)
    assert report.verdict is Verdict.UNDECIDED and "mesh" in report["membership"].reason
