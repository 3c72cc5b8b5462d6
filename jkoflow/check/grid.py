"""One JKO step on a grid: a coupling bounds what it costs, a potential what any step costs.

Masses sit at the cells' centres. A coupling of the cells proves an upper bound of W2², and so of
the step's objective. Any potential ψ on the old cells bounds every objective from below:

    F(ν) + W2²(ν, μ)/(2τ) ≥ Σ ψ_j μ_j − Σ u*(−ψ^c_i − V_i)|cell| + G(ρ) − ∫δG(ρ)dρ,

with ψ^c_i = min_j |x_i − x_j|²/(2τ) − ψ_j, u* the conjugate of the internal energy, V = δG(ρ) at
the new density, and the smooth part G convex along mixtures. Between both lies what the cells
hide: a transport by parts of a cell costs up to Σh²/4 more in W2² where masses sit at centres.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..functionals.conjugate import conjugate
from ..functionals.normalisation import normalised
from ..measures.base import Array
from ..measures.grid import Grid
from ..record import Witness
from ..status import MissingStructure, NotDefined
from ..verdict import Decided, Finding, Verdict, at_most, undecided
from . import policy
from .functional import guarded, known
from .transport import array_of, coupling_cost
from .weak import Origin, torn, weak_stationarity

CELLS = "masses sit at the cells' centres: steps are told apart to some Σh²/(8τ), here {:.2g}"
SHORT = "on these cells a step may gain up to {:.0%} less than the best one, and be accepted"
MIXED = "the smooth part is convex along mixtures, as it claims (check_functional attacks it)"


class GridStep(NamedTuple):
    """A step between densities on the same cells, with what F lost and its rounding, and the W2²
    that the run says (NaN: it does not)."""

    F: Functional
    before: Grid
    after: Grid
    tau: float
    witness: Witness | None
    lost: float
    margin: float
    said: float = np.nan

    @property
    def resolution(self) -> float:
        """Σh²/(8τ): half of a cell on every axis, in units of the objective."""
        return float((self.before.spacing**2).sum()) / (8.0 * self.tau)


Band = tuple[Array, Array]


class Bounds(NamedTuple):
    """W2² from above, by the coupling, and from below, by the potential; where mass came from; ψ,
    and ψ^c (n_1, …)."""

    upper: float
    lower: float
    came: Origin
    potential: Array
    transform: Array


def judged_on_grid(s: GridStep) -> Iterator[Finding]:
    """Transport, energy, stationarity, minimality; `Decided` where there is no evidence."""
    found = bounds(s)
    size = policy.ROUNDING * float((s.before.lower**2 + s.before.upper**2).sum())
    yield at_most("transport", found.lower, found.upper + policy.EPS * size, (),
                  "the potential's value is above the coupling's cost")  # fmt: skip
    off, room = max(found.lower - s.said, s.said - found.upper), 2.0 * s.tau * s.resolution
    if not np.isnan(s.said):  # which may be that of the densities, and not of masses at centres
        far = np.sqrt((s.before.spacing**2).sum() / 3.0)  # W2 from densities to centres, of both
        near = off <= 2.0 * far * np.sqrt(found.upper) + far**2
        yield at_most("stored distance", off, policy.CELLS * room + policy.EPS * size, (),
                      f"W2² is not {s.said!r}, as the run says",
                      Verdict.UNDECIDED if near else Verdict.REJECTED)  # fmt: skip
    assumed = (CELLS.format(s.resolution),)
    excess, least = (w2 / (2.0 * s.tau) - s.lost for w2 in (found.upper, found.lower))
    doubt = Verdict.REJECTED if least > s.margin else Verdict.UNDECIDED
    yield at_most("energy", excess, policy.CELLS * s.resolution + s.margin, assumed,
                  "the step does not pay for its transport", doubt)  # fmt: skip
    V = known("evaluation", partial(s.F.smooth.first_variation, s.after, s.after.points))
    findings = [*_against_the_dual(s, found, V, assumed)]
    yield from findings
    # the last is the gap, or NaN; and obstacles press with forces that the density does not tell
    gap = findings[-1].measured
    if not (gap <= policy.AS_MASSES * s.lost or np.isinf(V).any()):
        weak = partial(weak_stationarity, s.F, s.before, s.after, found.came, s.tau, gap)
        if finding := guarded("weak stationarity", weak):
            yield finding


def same_cells(a: Grid, b: Grid) -> bool:
    """Whether two densities live on the same cells."""
    return a.shape == b.shape and all(map(np.array_equal, (a.lower, a.upper), (b.lower, b.upper)))


def bounds(s: GridStep) -> Bounds:
    """What the witness proves of W2²; `Decided` if it is none, or malformed."""
    if s.witness is None or s.witness.kind != "grid":
        raise Decided(undecided("transport", "no witness of kind 'grid': W2 is not certified"))
    upper, at, (rows, columns, values) = coupling_cost(s.after, s.before, s.witness)
    came = Origin(at, torn(columns, values, (s.after.points - at)[rows]))
    psi = array_of(s.witness, "potential", s.before.shape)
    psi = psi - psi.max()  # a constant is free, but lets a large one round D upwards
    transform = c_transform(psi, s.before.axes(), s.tau)
    dual = float(psi.ravel() @ s.before.weights + transform.ravel() @ s.after.weights)
    return Bounds(upper, 2.0 * s.tau * dual, came, psi, transform)


def c_transform(psi: Array, axes: list[Array], tau: float) -> Array:
    """min_j |x_i − x_j|²/(2τ) − ψ_j over all cells, one axis after the other.

    Examples
    --------
    >>> c_transform(np.array([0.0, 0.0, 0.3]), [np.array([0.0, 1.0, 2.0])], 0.5).tolist()
    [0.0, 0.0, -0.3]
    """
    g = -psi
    for axis, x in enumerate(axes):
        lines = np.moveaxis(g, axis, -1)
        cost = (x[:, None] - x) ** 2 / (2.0 * tau)
        g = np.stack([(lines + row).min(axis=-1) for row in cost], axis=axis)
    return g


def _against_the_dual(
    s: GridStep, found: Bounds, V: Array, assumed: tuple[str, ...]
) -> Iterator[Finding]:
    """The new density is the one that the potential's price buys; and, last, the gap is small."""
    claim, smooth, rho = "minimality", s.F.smooth, s.after
    price = -found.transform - V.reshape(rho.shape)
    try:  # a constant on ψ is free: the best one buys the mass 1
        star = conjugate(s.F)
        shift, bought = normalised(star, price, rho.cell_volume)
    except (MissingStructure, NotDefined) as error:
        yield undecided(claim, str(error))
        return
    with np.errstate(all="ignore"):
        surplus = np.where(bought > 0, star.surplus(price + shift, bought), 0.0)
    around = reduce(to_the_walls, range(rho.dim), price + shift)

    def band(room: float) -> Band:
        low, high = (np.nan_to_num(star.density(around + d), posinf=np.inf) for d in (-room, room))
        return low, high

    h = s.before.spacing
    hidden = float(h @ np.maximum(found.came.torn - h, 0.0)) / (2.0 * s.tau)
    torn = band(s.resolution + hidden) if hidden else None
    yield stationarity(s, found.upper, band(s.resolution), torn)
    if smooth.terms and not smooth.convex_in_mixtures:
        yield undecided(claim, "the smooth part does not claim to be convex along mixtures")
        return
    held = rho.weights > 0
    tangent = smooth.value(rho) - float(rho.weights[held] @ V[held]) if smooth.terms else 0.0
    dual = float(found.potential.ravel() @ s.before.weights) + shift + tangent
    dual -= float(surplus.sum()) * rho.cell_volume
    gap = s.F.value(rho) + found.upper / (2.0 * s.tau) - dual
    gain = s.F.value(rho) + s.lost - dual  # no step gains more than this
    bound = policy.GAP * max(0.0, s.lost) + s.margin
    bound += min(policy.CELLS * s.resolution, policy.SHARE * max(0.0, gain))
    short = SHORT.format(gap / gain if gain > 0 else 0.0)
    assumed = (*assumed, short, MIXED) if smooth.terms else (*assumed, short)
    yield at_most(claim, gap, bound, assumed,
                  f"the step is not told apart from others: of {gain:.3g} that a step can gain, "
                  f"{s.resolution:.3g} is one cell's resolution", Verdict.UNDECIDED)  # fmt: skip


def stationarity(s: GridStep, squared: float, band: Band, torn: Band | None) -> Finding:
    """The mass by which ρ leaves the band of what its potential buys in the cells around, and on
    the walls: its low and high end have one more entry at each end.

    ψ^c over centres is too large by up to Σh²/(8τ), hence a band for every cell. A cell's mean
    lies between what is bought at its corners; its own price, at its centre only, may miss an
    edge of the support that runs through it. In steps that are few cells long, by this W2², masses
    may be stuck at centres, and prices with them. Where an old cell's mass goes far apart,
    its places in that cell make prices of their own: the band that allows for them, ``torn`` if
    there are such, excuses, and accepts nothing.
    """

    def beyond(low: Array, high: Array) -> float:
        for axis in range(low.ndim):
            low, high = _around(low, axis, np.minimum), _around(high, axis, np.maximum)
        off = np.maximum(0.0, np.maximum(low - s.after.density, s.after.density - high))
        return float(off.sum()) * s.after.cell_volume

    outside = beyond(*band)
    stuck = 10.0 * float((s.before.spacing**2).sum()) / squared if squared > 0 else np.inf
    clear = (beyond(*torn) if torn else outside) > policy.OUTSIDE_REJECTED * np.clip(stuck, 1, 10)
    doubt = Verdict.REJECTED if clear else Verdict.UNDECIDED
    return at_most("stationarity", outside, policy.OUTSIDE, (),
                   "the density is not the one that its potential buys", doubt)  # fmt: skip


def to_the_walls(price: Array, axis: int) -> Array:
    """Prices with those on both walls, half a cell beyond the last centres, where the line through
    the last two leads: mass may be piled up there.

    Examples
    --------
    >>> to_the_walls(np.array([4.0, 1.0, 0.0, -np.inf]), 0).tolist()
    [5.5, 4.0, 1.0, 0.0, -inf, -inf]
    """
    p = np.moveaxis(price, axis, 0)
    ends = p[[0, -1]]
    rise = 0.5 * (ends - p[[min(1, len(p) - 1), max(-2, -len(p))]])
    ends = ends + np.where(np.isfinite(rise), rise, 0.0)
    return np.moveaxis(np.concatenate([ends[:1], p, ends[1:]]), 0, axis)


def _around(f: Array, axis: int, extreme: np.ufunc) -> Array:
    """The extreme of each cell and its two neighbours along an axis."""
    g = np.moveaxis(f, axis, 0)
    return np.moveaxis(extreme(extreme(g[:-2], g[1:-1]), g[2:]), 0, axis)
