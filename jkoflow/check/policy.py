"""Every tolerance of the judge, with its reason. Nothing else in `jkoflow.check` is tuned."""

from __future__ import annotations

EPS = 2.0**-52

MASS = 1e-12
"""Relative to each mass. A sum of n weights rounds by n·EPS/2, so this is loose up to n = 1e4 and
catches a loss of 1e-9; the sum of all weights is allowed MASS + n·EPS."""

ROUNDING = 64
"""Energies are sums of products: their error is a small multiple of EPS times the sum of the
absolute values, and pairwise summation keeps the multiple below this for every n in reach."""

TRANSPORT_GAP = 1e-9
"""Relative gap between a coupling's cost and its dual value. Exact solvers reach 1e-13 at 2000
points; 1e-9 of W2²/(2τ) is far below what the energy inequality or the gap could notice."""

MAP = 1e-10
"""How far a map may lead beside the old Gaussian, in W2: relative to its breadth, and 1e4 times
that relative to the step, a hundredth of what stationarity allows. Relative to Σ it would say
nothing of thin directions and of small steps. Honest maps miss by 1e-15 to 1e-11 of the breadth,
after rounding of Σ."""

STORED = 1e-11
"""Relative: a stored number against the same number recomputed by the same formula, on another
machine perhaps. Catches an energy raised by 1e-8 with three digits to spare."""

STATIONARITY = 1e-4
"""Residual of the optimality condition relative to the slope W2/τ. The step's minimiser is then
within 1e-4·W2 and its objective within 1e-8·W2²/(2τ) (for λ ≥ 0): eight digits below what the
step itself dissipates, while a position wrong by 1e-3 of a step shows ten times over."""

GAP = 1e-6
"""Certified gap of a step relative to the energy it loses: no sum of such gaps is visible in the
energy curve of a run."""

CELLS = 8.0
"""Certified gap of a step on a grid in units of Σh²/(8τ). Smooth steps leave about 2 of them, what
sharing a cell's mass among the cells around its image costs; where the map jumps, as across an
obstacle, whole cells go to either side, and it is up to 8. So are energies and distances."""

SHARE = 0.25
"""Of what any step on a grid can gain, Σh²/(8τ) may hide at most this: else staying would do."""

OUTSIDE, OUTSIDE_REJECTED = 2e-3, 2e-2
"""Mass by which a density on a grid may lie outside of what its potential buys nearby, at prices
as inexact as cells make them. Honest steps leave less than 1e-3, most at jumps of the map, but
up to 1.2e-2 in flat tails on coarse cells: only far above the bound is a step wrong for sure."""

WEAK, WEAK_REJECTED = 1e-2, 4.0
"""Residual of a step on a grid against smooth fields, relative to the slope W2/τ, besides what
cells make of it. Honest steps of smooth densities leave 1e-4 to 5e-3, of coarse images up to 3e-2;
a τ that is wrong by a tenth leaves 0.04 to 0.09. Far above the bound the step is wrong."""

AS_MASSES = 1e-4
"""Gap relative to the energy lost below which a step on a grid is that of masses at the cells'
centres, whatever smooth fields say of it: on coarse cells masses may be locked."""

BLIND, RESOLUTION = 1e-3, 1e-9
"""If rounding alone makes a residual above BLIND of the gradients it is made of, and one that
could hide a displacement above RESOLUTION of the coordinates, the residual says nothing, and the
verdict is UNDECIDED."""

KINK = 1e-6
"""How far down the residual, in units of τ, it is looked at again: far enough to leave a kink
that a solver found to eight digits, and not so far that smooth gradients change."""

ORDER, ORDER_REJECTED = 1.9, 1.4
"""A correct derivative leaves a remainder of order 2, a wrong one of order 1; that of |x|^1.5,
which is no fault, one of order 1.5 at 0."""

SETTLES = 3.0
"""The remainder et + ct² of a wrong derivative, over t, changes 4 times as much from step to step
as t grows 4 times. That of t log t, of mass where there was hardly any, changes always by as much,
though its order may be 1.01; that of t^1.5 twice as much."""

DERIVATIVE = 1e-6
"""A derivative that agrees with the differences to this relative accuracy at steps near rounding
is correct, whatever order rounding leaves visible. Central differences give 1e-10."""

FIXED_POINT = 1e-3
"""Default bound on KL(ρ‖ρ̂). A piecewise uniform law on n graded cells cannot be nearer to a
smooth one than O(n^-2) in KL (2e-4 at n = 100), so much smaller would reject exact quantiles."""

MOST_NODES = 2_000_000
"""Of a coarse quadrature, all axes together; the fine one in three dimensions holds 3.4 times as
many, in about a gigabyte."""

QUADRATURE = 4.0
"""The error of a quadrature is taken as this times what it differs from one with two thirds of the
nodes. That holds if the error falls like n^-0.6 or faster; kinks give n^-2, smooth densities far
more. Over 300 random mixtures of normal laws the error was never above it."""

QUADRATIC = 1e-9
"""A function whose values are those of its quadratic fit to this relative accuracy, at random
points up to 10 standard deviations away, is that quadratic: the fit's differences cost digits."""

HELD = 1e-2
"""Share of an extrapolation's way, in L²(ρ), that may be held back lest edges cross. It adds to
a step at most that share of the way. In tails that fall in at once, and have hardly any mass, it is
1e-3; where a whole law contracts in one step it is above one half."""
