"""W2² by arithmetic against other people's solvers, and what a witness has to prove."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from jkoflow import Gaussian, Particles, Quantiles
from jkoflow.check import Finding, Verdict, transport
from jkoflow.check.transport import Transport, certify, certify_all
from jkoflow.flows.complete import witness
from jkoflow.measures.many import Laws
from jkoflow.record import Witness
from jkoflow.transport import bures


def certified(after, before, witness=None) -> Transport:  # type: ignore[no-untyped-def]
    found = certify(after, before, witness)
    assert isinstance(found, Transport), found
    return found


def exact_w2(x, a, y, b) -> Fraction:  # type: ignore[no-untyped-def]
    """North-west corner rule in rationals."""
    rows = sorted(zip(map(Fraction, x), a, strict=True))
    columns = sorted(zip(map(Fraction, y), b, strict=True))
    total, i, j = Fraction(0), 0, 0
    left, right = rows[0][1], columns[0][1]
    while True:
        moved = min(left, right)
        total += moved * (rows[i][0] - columns[j][0]) ** 2
        left, right = left - moved, right - moved
        if left == 0:
            i += 1
            if i == len(rows):
                return total
            left = rows[i][1]
        if right == 0:
            j += 1
            right = columns[j][1]


@pytest.mark.parametrize("seed", range(20))
def test_w2_on_the_line_agrees_with_exact_rationals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 9, 2)
    x, y = rng.normal(size=n), rng.normal(size=m)
    p, q = rng.integers(1, 6, n), rng.integers(1, 6, m)
    a = [Fraction(int(k), int(p.sum())) for k in p]
    b = [Fraction(int(k), int(q.sum())) for k in q]
    mine = certified(Particles(x, p / p.sum()), Particles(y, q / q.sum()))
    # coordinates of order 1, at most 16 terms
    assert abs(mine.squared - float(exact_w2(x, a, y, b))) < 1e-13
    assert mine.finding.verdict is Verdict.ACCEPTED


def paired(rng: np.random.Generator, n: int = 6, d: int = 2):  # type: ignore[no-untyped-def]
    """Two clouds, and their optimal pairing with potentials, by shortest paths."""
    x = rng.normal(size=(n, d))
    y = x + 0.05 * rng.normal(size=(n, d))
    cost = cdist(x, y, "sqeuclidean")
    order = linear_sum_assignment(cost)[1]
    lengths = cost[:, order] - cost[np.arange(n), order]  # f_k ≤ f_i + lengths[k, i]
    f = np.zeros(n)
    for _ in range(n):  # Bellman–Ford
        f = (f + lengths).min(axis=1)
    g = np.empty(n)
    g[order] = cost[np.arange(n), order] - f
    return Particles(x), Particles(y), order, f, g


def test_an_optimal_pairing_with_its_potentials_is_certified() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        after, before, order, f, g = paired(rng)
        found = certified(after, before, Witness("pairing", {"order": order, "f": f, "g": g}))
        assert found.finding.verdict is Verdict.ACCEPTED
        best = min(
            np.mean(np.sum((after.points - before.points[list(p)]) ** 2, axis=1))
            for p in itertools.permutations(range(6))
        )
        assert abs(found.squared - best) < 1e-14


@pytest.mark.parametrize("kind", ["pairing", "coupling"])
def test_a_coupling_without_potentials_says_nothing_false(kind: str) -> None:
    """It is one, and nobody says that it is optimal: that is for `complete` to prove."""
    after, before, order, f, _ = paired(np.random.default_rng(4))
    entries = {"rows": np.arange(6), "columns": order, "values": after.weights}
    arrays = {"order": order} if kind == "pairing" else entries
    found = certify(after, before, Witness(kind, arrays))
    assert isinstance(found, Finding) and found.verdict is Verdict.UNDECIDED
    assert "no potentials" in found.reason
    proved = certified(after, before, witness(after, before, Witness(kind, arrays)))
    assert proved.finding.verdict is Verdict.ACCEPTED
    name, wrong = ("order", 0 * order) if kind == "pairing" else ("values", entries["values"] / 2)
    for false in ({**arrays, name: wrong}, {**arrays, "f": f}):
        found = certify(after, before, Witness(kind, false))
        assert isinstance(found, Finding) and found.verdict is Verdict.REJECTED


def test_a_pairing_that_is_not_optimal_has_no_potentials() -> None:
    """No f, g can certify it: whatever is offered, the gap is at least the excess cost."""
    rng = np.random.default_rng(2)
    after, before, order, f, g = paired(rng)
    wrong = order[[1, 0, 2, 3, 4, 5]]
    for _ in range(50):
        arrays = {"order": wrong, "f": f + 0.1 * rng.normal(size=6), "g": g}
        found = certified(after, before, Witness("pairing", arrays))
        assert found.finding.verdict is Verdict.REJECTED
        optimal = certified(after, before, Witness("pairing", {"order": order, "f": f, "g": g}))
        assert found.finding.measured >= found.squared - optimal.squared - 1e-14


def test_a_coupling_with_unequal_weights() -> None:
    after = Particles([[0.0, 0.0], [1.0, 0.0]], [0.25, 0.75])
    before = Particles([[0.0, 1.0], [1.0, 1.0]], [0.5, 0.5])
    arrays = {
        "rows": np.array([0, 1, 1]), "columns": np.array([0, 0, 1]),
        "values": np.array([0.25, 0.25, 0.5]),
        "f": np.array([0.0, 1.0]), "g": np.array([1.0, 0.0]),
    }  # fmt: skip
    found = certified(after, before, Witness("coupling", arrays))
    assert found.finding.verdict is Verdict.ACCEPTED and found.squared == 1.25
    # the point (1, 0) comes from two places: barycentre (2/3, 1), spread ¾·(2/9)
    np.testing.assert_allclose(found.away[0, 1], [1 / 3, -1.0])
    assert abs(found.spread - 0.75 * 2 / 9) < 1e-15
    arrays["values"] = np.array([0.25, 0.25, 0.25])
    assert isinstance(certify(after, before, Witness("coupling", arrays)), Finding)


@pytest.mark.parametrize("bad", ["rows", "columns", "values", "f", "g"])
def test_a_malformed_coupling_is_rejected_and_raises_nothing(bad: str) -> None:
    mu = Particles([[0.0, 0.0], [1.0, 0.0]])
    good = {
        "rows": np.array([0, 1]), "columns": np.array([0, 1]), "values": np.array([0.5, 0.5]),
        "f": np.zeros(2), "g": np.zeros(2),
    }  # fmt: skip
    assert certified(mu, mu, Witness("coupling", good)).finding.verdict is Verdict.ACCEPTED
    spoils = [np.array([-1, 5]), np.array([0.5, np.nan]), np.zeros((2, 2)), np.array(["a", "b"]),
              np.zeros(0), np.array([7, 7])]  # fmt: skip
    for spoil in spoils:
        found = certify(mu, mu, Witness("coupling", {**good, bad: spoil}))
        finding = found if isinstance(found, Finding) else found.finding
        assert finding.verdict is Verdict.REJECTED, (bad, spoil)
    missing = {k: v for k, v in good.items() if k != bad}
    found = certify(mu, mu, Witness("coupling", missing))
    assert isinstance(found, Finding) and found.verdict is Verdict.REJECTED


def test_gaussians_against_the_closed_formula() -> None:
    rng = np.random.default_rng(5)
    for d in (1, 2, 5):
        A, B = rng.normal(size=(2, d, d))
        mu, nu = Gaussian(rng.normal(size=d), A @ A.T), Gaussian(rng.normal(size=d), B @ B.T)
        root = mu.sqrt_cov
        values, vectors = np.linalg.eigh(root @ nu.cov() @ root)
        middle = (vectors * np.sqrt(values)) @ vectors.T
        inverse = np.linalg.inv(root)
        matrix = inverse @ middle @ inverse
        found = certified(mu, nu, Witness("symmetric-map", {"matrix": 0.5 * (matrix + matrix.T)}))
        shift = mu.mean() - nu.mean()
        spread = np.trace(mu.cov()) + np.trace(nu.cov()) - 2 * np.sqrt(values).sum()
        assert found.finding.verdict is Verdict.ACCEPTED
        assert abs(found.squared - (shift @ shift + spread)) < 1e-12 * np.trace(mu.cov() + nu.cov())


def test_without_a_witness_only_the_line_is_decided() -> None:
    cloud, normal = Particles(np.eye(3)), Gaussian(np.zeros(2), np.eye(2))
    for mu in (cloud, normal):
        found = certify(mu, mu, None)
        assert isinstance(found, Finding) and found.verdict is Verdict.UNDECIDED
    for mu in (Particles([1.0, 2.0]), Gaussian(0.0, 1.0), Quantiles([0.0, 1.0])):
        assert certified(mu, mu).squared == 0.0


def test_translation_is_exact() -> None:
    mu = Quantiles.normal(0.0, 1.3, 30)
    moved = mu.displaced(np.full((31, 1), 0.7))
    assert abs(certified(moved, mu).squared - 0.49) < 1e-14


def test_of_many_steps_the_least_certain_counts() -> None:
    """Three steps of clouds at once: their W2² one by one, and the finding of the worst."""
    rng = np.random.default_rng(7)
    steps = [paired(rng) for _ in range(3)]
    after, before = (Laws([s[k] for s in steps]) for k in range(2))

    def told(wrong: int | None) -> list[Witness]:
        return [
            Witness("pairing", {"order": order, "f": f + (0.1 if k == wrong else 0.0), "g": g})
            for k, (_, _, order, f, g) in enumerate(steps)
        ]

    alone = [certified(*s[:2], w) for s, w in zip(steps, told(None), strict=True)]
    for wrong in (None, 0, 1, 2):
        witnesses = told(wrong)
        found = certify_all(after, before, witnesses)
        assert found.finding.verdict is (Verdict.ACCEPTED if wrong is None else Verdict.REJECTED)
        assert found.squared.tolist() == [t.squared[0] for t in alone]
        np.testing.assert_array_equal(found.away, np.concatenate([t.away for t in alone]))
        assert (found.spread < 1e-30).all() and found.spread.shape == (3,)


@pytest.mark.parametrize("block", [1, 6, 13, 17, 30])
def test_potentials_are_looked_at_in_blocks_of_any_size(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pair counts once: the violation is Σ w_i max_j (f_i + g_j − |X_i − x_j|²)₊."""
    rng = np.random.default_rng(8)
    for _ in range(20):
        after, before, order, f, g = paired(rng)
        f = f + rng.normal(size=6)
        monkeypatch.setattr(transport, "_BLOCK", block)
        arrays = {"order": order, "f": f, "g": g}
        found = certified(after, before, Witness("pairing", arrays)).finding
        excess = f[:, None] + g - cdist(after.points, before.points, "sqeuclidean")
        true = np.maximum(0.0, excess.max(axis=1)).mean()
        gap = np.mean((after.points - before.points[order]) ** 2) * 2 - f.mean() - g.mean() + true
        assert found.measured == pytest.approx(max(true, gap), rel=1e-12, abs=0)


def test_a_point_without_mass_came_from_nowhere_else() -> None:
    after = Particles([[0.0, 0.0], [5.0, 5.0]], [1.0, 0.0])
    before = Particles([[1.0, 0.0], [9.0, 0.0]], [1.0, 0.0])
    arrays = {"rows": np.array([0]), "columns": np.array([0]), "values": np.array([1.0]),
              "f": np.array([1.0, -99.0]), "g": np.array([0.0, -99.0])}  # fmt: skip
    found = certified(after, before, Witness("coupling", arrays))
    assert found.finding.verdict is Verdict.ACCEPTED and found.squared == 1.0
    np.testing.assert_array_equal(found.away[0], [[-1.0, 0.0], [0.0, 0.0]])


def test_everything_may_have_come_from_one_point() -> None:
    """The zero matrix maps any Gaussian onto a point, and is the gradient of a constant."""
    spread = Gaussian([1.0, 0.0], np.diag([2.0, 3.0]))
    point = Gaussian([0.0, 0.0], np.zeros((2, 2)))
    found = certified(spread, point, Witness("symmetric-map", {"matrix": np.zeros((2, 2))}))
    assert found.finding.verdict is Verdict.ACCEPTED
    assert found.squared == pytest.approx(1.0 + 2.0 + 3.0, rel=1e-14, abs=0)
    back = certify(point, spread, Witness("symmetric-map", {"matrix": np.zeros((2, 2))}))
    assert isinstance(back, Transport) and back.finding.verdict is Verdict.REJECTED


def test_a_gaussian_on_the_line_needs_no_witness_unless_it_is_a_point() -> None:
    wide, point = Gaussian(0.0, 4.0), Gaussian(1.0, 0.0)
    assert certified(Gaussian(1.0, 9.0), wide).squared == pytest.approx(1.0 + 1.0)
    assert certified(wide, point).squared == pytest.approx(1.0 + 4.0)
    found = certify(point, wide, None)
    assert isinstance(found, Finding) and found.verdict is Verdict.UNDECIDED
    plane = Gaussian(np.zeros(2), np.eye(2))
    found = certify(plane, plane, None)
    assert isinstance(found, Finding) and found.verdict is Verdict.UNDECIDED


def test_masses_that_differ_are_no_reason_to_pair_edges() -> None:
    """On the line only equal masses allow edge to edge; else the north-west corner rule counts."""
    x, y = Quantiles([0.0, 1.0, 2.0], [0.5, 0.5]), Quantiles([0.0, 1.0, 2.0], [0.75, 0.25])
    edges = ([Fraction(k, 8) for k in (2, 4, 2)], [Fraction(k, 8) for k in (3, 4, 1)])
    true = exact_w2([0, 1, 2], edges[0], [0, 1, 2], edges[1])
    assert true > 0
    assert certified(x, y).squared[0] == pytest.approx(float(true), rel=1e-14, abs=0)
    few = Quantiles([0.0, 2.0], [1.0])
    true = exact_w2([0, 1, 2], edges[0], [0, 2], [Fraction(1, 2)] * 2)
    assert certified(x, few).squared[0] == pytest.approx(float(true), rel=1e-14, abs=0)
    # 10⁻¹² of a mass may be rounding
    for part, verdict in ((0.9e-12, Verdict.ACCEPTED), (1.2e-12, Verdict.REJECTED)):
        off = Quantiles([0.0, 1.0, 2.0], [0.5, 0.5])
        off.__dict__["_weights"] = x.weights * [1.0 + part, 1.0, 1.0]
        found = certify(off, x, Witness("monotone"))
        finding = found.finding if isinstance(found, Transport) else found
        assert finding.verdict is verdict, part


def test_points_out_of_order_are_no_monotone_map() -> None:
    mu, nu = Particles([0.0, 1.0]), Particles([1.0, 0.0])
    for pair in ((mu, nu), (nu, mu)):
        found = certify(*pair, Witness("monotone"))
        assert isinstance(found, Finding) and found.verdict is Verdict.REJECTED
        assert certified(*pair).squared == 0.0  # the same law in another order


def test_points_without_mass_are_paired_like_others() -> None:
    mu, nu = (Particles([c, 1.0 + c], [1.0, 0.0]) for c in (0.0, 0.5))
    assert certified(mu, nu, Witness("monotone")).squared[0] == 0.25


def test_a_coupling_is_a_list_of_entries_and_no_table() -> None:
    mu = Particles([[0.0, 0.0], [1.0, 0.0]])
    arrays = {"rows": np.array([[0, 0], [1, 1]]), "columns": np.array([[0, 1], [0, 1]]),
              "values": np.array([[0.5, 0.0], [0.0, 0.5]]), "f": np.zeros(2),
              "g": np.zeros(2)}  # fmt: skip
    found = certify(mu, mu, Witness("coupling", arrays))
    assert isinstance(found, Finding) and found.verdict is Verdict.REJECTED
    with pytest.raises(transport.Decided, match="malformed"):
        transport.coupling_cost(mu, mu, Witness("grid", arrays))
    flat = {k: a.ravel() for k, a in arrays.items()}
    assert certified(mu, mu, Witness("coupling", flat)).squared == 0.0
    squared, came, _ = transport.coupling_cost(mu, mu, Witness("grid", flat))
    assert squared == 0.0
    assert came.tolist() == mu.points.tolist()  # the barycentres of where masses came from


def test_a_gap_below_the_rounding_of_the_coordinates_is_undecided() -> None:
    """Points at 3 that move by 1e-14: W2² is 1e-28, and coordinates know no more than that."""
    away = 3.0 + np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]) * 2.0**-45
    old, new = Particles(away + 2.0**-46), Particles(away)
    squared = float(new.weights @ ((new.points - old.points) ** 2).sum(axis=1))
    f = 2.0 * (new.points - away.mean(axis=0)) @ (new.points - old.points)[0]
    g = ((new.points - old.points) ** 2).sum(axis=1) - f
    assert transport.duality(new, old, squared, f, g).verdict is Verdict.ACCEPTED
    assert transport.duality(new, old, squared, f, g - 0.01 * squared).verdict is Verdict.UNDECIDED
    bound = (transport.policy.ROUNDING * transport.policy.EPS) ** 2 * float(
        new.weights @ (new.points**2).sum(axis=1)
    )
    for part, verdict in ((0.9, Verdict.UNDECIDED), (1.1, Verdict.REJECTED)):
        assert transport.duality(new, old, squared, f, g - part * bound).verdict is verdict


@pytest.mark.parametrize("seed", range(20))
def test_how_far_w2_may_be_from_that_of_thin_gaussians(seed: int) -> None:
    """Covariances know a variance of s² to ε tr Σ, and two ways to take W2 differ by as much: by
    the map, and by the polar factor of the roots. Besides, a map may miss."""
    rng = np.random.default_rng(seed)
    thin, thinner = 10.0 ** rng.uniform(-7, -2), 10.0 ** rng.uniform(-7, -3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    before, after = (Gaussian(np.zeros(3), turn @ np.diag([s * s, 0.05, 0.6]) @ turn.T)
                     for s in (thin, thinner))  # fmt: skip
    witness = Witness("symmetric-map", {"matrix": bures.optimal_map(after, before)})
    found = certified(after, before, witness)
    squared, gap = float(found.squared[0]), float(found.gap[0])
    assert abs(bures.distance_squared(after, before) - squared) <= gap + 1e-13 * squared
    most = found.finding.measured + 16 * 2.0**-52 * 0.65 / thin  # which is twice h/2s
    assert gap <= most * (2.0 * squared**0.5 + most)
