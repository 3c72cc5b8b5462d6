"""Writes docs/orders.md: the measured orders of all steppers, from the cases in tests/rates.

Run ``python docs/write_orders.py`` after changing a stepper or a case (some minutes); the tests
in ``tests/rates/test_order_table.py`` compare.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "rates"))

import orders_of_points  # noqa: E402
import orders_on_cells  # noqa: E402
import orders_on_grids  # noqa: E402
import orders_on_meshes  # noqa: E402
from order_case import measured  # noqa: E402
from order_locking import ADDING, MOVED, SHARES, share_moved, variance_added  # noqa: E402

PAGE = ROOT / "docs" / "orders.md"
SECTIONS = {
    "Laws on the line and of a radius": orders_on_cells.CASES,
    "Particles and Gaussians": orders_of_points.CASES,
    "Meshes": orders_on_meshes.CASES,
    "Grids": orders_on_grids.CASES,
}
COLUMNS = ("stepper", "measure", "energy", "refined", "sizes", "errors", "order", "expected",
           "against", "note")  # fmt: skip
HEAD = """# Orders of convergence

What halving the cells, doubling the points or halving τ buys: for every stepper, on every kind of
measure, with every kind of energy that it takes. `python docs/write_orders.py` measures and
writes this page; `tests/rates/test_order_table.py` asserts every row. The parameters are in
`tests/rates/orders_on_cells.py`, `orders_of_points.py`, `orders_on_meshes.py` and
`orders_on_grids.py`.

- **refined**: n, cells or points of a law; h, cells on an axis of a grid, or rings and layers of
  a mesh; τ, steps to a fixed time; ε, one over the kernel's variance. **order** is minus the
  slope of log error against log size, fitted over all sizes shown; **expected** is what theory
  says, or where sizes are far from the limit what the note explains, with the tolerance that the
  test allows. "exact" means no error but
  rounding.
- **Errors.** In n and h: of one step at a fixed τ against the exact JKO step, L2 between points
  on cells, particles and meshes, L1 between densities on grids. In τ: of the flow at a fixed time
  against the gradient flow, in L2 between points, in moments, or in L1. So each row has one cause
  of error.
- **against** is what the exact answer comes from, always another method than the one measured: a
  closed formula; a boundary value problem solved by collocation; residuals of a network by
  Gauss's rule and fixed points; or, in τ, the ordinary differential equation of the same points
  by Runge–Kutta methods. No row compares a stepper with itself.
- Not in the tables: `Congestion` is taken by grids only; particles have no internal energies, but
  blobs; powers of Gaussians have tests of their own; a grid with no internal energy is a typed
  error. `SecondOrder` needs points that move, and refuses grids.
"""
TAIL = """## Where the order is less than one would expect, and why

- **Equal masses, n^-½.** On `Quantiles` with equal masses the two tail cells hold 1/n each, and
  that mass is √(1/n) away in W2. With `grading="tails"`, the default of `normal`, it is n^-2
  times a logarithm: 1.84 over these sizes.
- **Vacuum edges.** A density that ends linearly, cut into equal masses, gives n^-0.9;
  `grading="cosine"` gives n^-2.
- **Logarithmic interactions, n^-1.** Points i ≠ j leave out what near neighbours of a continuous
  law would add: (log n)/n in the energy, 1/n in the map. In τ nothing is lost.
- **Independent particles, n^-½.** Every integral of a sample has that error. The step itself is
  exact for the points.
- **Meshes in rings, h^1.2 to h^1.6 and not h^2.** W2 and the energy hold the divergence of a
  velocity field and its size, but not its derivatives; so nothing smooths an error of the forces
  on nodes, and those are wrong by O(h) where the simplices round a node are not symmetric about
  it: along the seams of `Mesh.disc(R, rings)` and `Mesh.ball(R, layers)`. On a strip as wide as h
  that is h^1.5 in L2. `grading=` makes one lattice without seams, and clusters nodes at the rim:
  order 2 (with m = 3, whose density ends like a square root, 1.9 at grading .9).
  [Meshes](meshes.md#orders) has the comparison, and what to take when.
- **Grids, free boundaries.** `BackAndForth` has order 2 for smooth densities and down to a linear
  edge; a square root's edge (m = 3) leaves h^1.5 in the cells there, a crowd's jump h. Its ascents
  here go to `tolerance=1e-11`: the default's, 1e-7, ends errors at some 1e-5.
- **Entropic steps, edges blurred.** Debiased, ε is h√τ/4 by default, wider than h², to save
  iterations. Smooth densities do not feel it (O(ε²)). An edge (distance)^p is blurred over √ε,
  which costs ε^((1+p)/2): orders 1.5, 1 and .75 in h for m = 1.5, 2 and 3, with errors that are
  below those of `BackAndForth` on coarse grids and above on fine ones. Without `debiased` the
  bias ε = h² is the error, of order 2 in h, and some ten times larger.
- **`ConvexProgram` on grids** transports between centres of cells as they stand. In between, the
  cost |x − y|²/2τ is too large by up to h²/8τ, up and down with where in its cell mass arrives.
  A price wrong by that buys a density wrong by the share κ = h²/(8τc) at temperature c. Measured
  for a Gaussian, L1 over κ: at c = .2, 1.6 to 1.8 at τ = .02, for every h ≤ .04 and wherever the
  cells begin (.3 to 2 at c = .05); .6 to 3.9 at τ = .08, where moving 50 cells by a quarter and
  half of h changes 1.5κ to 2.2κ and .6κ. So the order is 2, with a factor that wavers; over these
  sizes 1.4 to 1.9. Where κ > .1 mass is locked in its cells (next section) and the error saturates:
  25 cells are left out. No edge is needed for it, nor does the solver's tolerance change it. It is
  an oracle for that discrete problem.
- **Grids in space.** 16 to 48 cells on a side are few. `BackAndForth` reads old masses with slopes,
  which damps waves by (h/L)⁴: on cells of more than a third of σ that is more than its h².
- **The entropic crowd.** Not debiased, its rim is √ε = h wide, and the error that of .08, .11, .17,
  .19, .197 and .198 cells along the rim on 32, 64, 128, 192, 256 and 320 cells: of first order once
  the rim is thin (1.2 min by hand for the last, so not in the table).
- **Upwind fluxes.** `finite_volume` is of order 1 in h with power energies, 2 with entropy and a
  potential.
- **First steps of order two.** Where mass starts to move at infinite speed, or a start is far
  from what the flow makes of it at once (equal masses under a logarithmic repulsion),
  `SecondOrder` shows 1.7 for practical τ.

## Grid locking

Where mass sits on nodes and the cost is that of the nodes, a step in a drift g moves a point by
round(gτ/h) cells: not at all if gτ < h/2. Measured: the way of the mean in eight steps over the
exact 8gτ, for a bell of σ = 3h on the line under 10^-4 entropy (on a mesh, a disc of radius 6h).

"""
LOCKING = """
So `ConvexProgram` on grids locks, and `EntropicScaling` does where the kernel is made narrower
than h/2 (which it refuses without `allow_locking=True`). `BackAndForth` takes its potential as a
spline and the new density inside cells, a kernel as wide as a cell sees its neighbours, and
edges, nodes and particles move freely: those do not lock. A mass in a single cell of a `Grid`
does, with `BackAndForth` too ([grids](grids.md#short-steps-does-mass-get-stuck)).

## Many short steps on a grid

An error of O(h²) a step is O(h²/τ) after a time. What one step adds to the variance of each axis,
in h², beyond the exact heat step (it depends neither on h nor on τ; over 2τ it is the diffusion
that it amounts to):

"""
ADDED = """
`BackAndForth` takes the new density at `refine` points a cell and keeps their mean, and reads old
masses at the same points, with a slope in each cell: put at the cells' centres they would add
(1 − 1/refine²)h²/12 at every step. What the kernel of `EntropicScaling` adds is ε²/4s² for a
density of width s.
"""


def shown(error: float) -> str:
    """Two digits, as in 4.8e-3."""
    if error == 0.0:
        return "0"
    mantissa, exponent = f"{error:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def row(case) -> str:
    """A case's line of the table."""
    errors, order = measured(case)
    exact = case.expected is None
    cells = (
        case.stepper, case.measure, case.energy, case.refined,
        f"{case.sizes[0]} … {case.sizes[-1]}", ", ".join(map(shown, errors)),
        "exact" if exact else f"{order:.2f}",
        f"≤ {shown(case.within)}" if exact else f"{case.expected:g} ± {case.within:g}",
        case.against, case.short,
    )  # fmt: skip
    return line(cells)


def line(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def locking() -> str:
    """The table of grid locking."""
    rows = [line(("method", *(f"gτ = {share:g}h" for share in SHARES))), "|" + "---|" * 5]
    for name in MOVED:
        rows.append(line((name, *(f"{share_moved(name, share):.2f}" for share in SHARES))))
    return "\n".join(rows) + "\n"


def adding() -> str:
    """The table of variance added."""
    rows = [line(("stepper", "64 cells", "128 cells")), "|" + "---|" * 3]
    for name, stepper in ADDING.items():
        rows.append(line((name, *(f"{variance_added(stepper, n):.3f}" for n in (64, 128)))))
    return "\n".join(rows) + "\n"


def text() -> str:
    """The whole page, measured."""
    parts = [HEAD]
    for title, cases in SECTIONS.items():
        table = [line(COLUMNS), "|" + "---|" * len(COLUMNS)]
        for case in cases:
            table.append(row(case))
            print(table[-1], flush=True)
        parts.append(f"## {title}\n\n" + "\n".join(table) + "\n")
    return "\n".join([*parts, TAIL + locking() + LOCKING + adding() + ADDED])


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
