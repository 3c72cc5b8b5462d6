"""Measures as laws by quadrature, coarse and fine, each in coordinates that suit it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ..status import NotDefined
from .base import Array, Measure
from .cells import Cells
from .gaussian import Gaussian
from .grid import Grid, repeated
from .quadrature import NODES, LogFunction, Rule, Space
from .radial import Radial, log_ball_volume

CELL_NODES, GRID_NODES = (3, 5), {1: (3, 5), 2: (2, 3), 3: (1, 2)}
"""Gauss–Legendre nodes in each cell and axis, coarse and fine."""
PARTS = {1: (3, 5), 2: (2, 3), 3: (2, 3)}
"""Equal parts of a cell an axis, coarse and fine, where its inside is filled in."""
_TURNS = 4  # in which two densities are looked for from each other's box: one does nearly always
STANDARD = 9.6
"""Where the density of N(0, 1) is `NEGLIGIBLE`."""


def rules_of(
    mu: Measure | LogFunction, domain: Array | None, closed: bool, nodes: int | None,
    facing: Callable[[Rule], LogFunction] | None = None,
) -> tuple[Space, list[Rule]]:  # fmt: skip
    """The coordinates, and ρ by the coarse and by the fine rule.

    Parameters
    ----------
    mu : Quantiles, Radial, Grid, Gaussian, or the log of a density
        Cells are uniform inside.
    domain : array, shape (2, D), optional
        Where to look first; needed for a log density.
    closed : bool
        Whether the space ends where the domain does.
    nodes : int, optional
        An axis, of the coarse rule.
    facing : callable, optional
        The log of a density that belongs to ρ. The box returned is then that one's, and ρ is looked
        for from there too: a mode that either of them shows must be seen of both.

    Raises
    ------
    NotDefined
        If ρ has no density, or more than three coordinates.
    MissingStructure
        If a density does not decay.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> rule = rules_of(Quantiles([0.0, 1.0, 2.0]), None, False, None)[1][0]
    >>> bool(np.isclose(rule.masses @ rule.points[:, 0] ** 2, 4 / 3))
    True
    """
    if isinstance(mu, Measure) and not isinstance(mu, (Cells, Grid, Gaussian)):
        raise NotDefined(f"{type(mu).__name__} have no density, so ρ = exp(−β δS/δρ)/Z cannot hold "
                         "(check_samples tests points against a density)")  # fmt: skip
    space = space_of(mu, domain, closed, nodes)
    if isinstance(mu, (Cells, Grid)):
        rule: Any = cells_rule if isinstance(mu, Cells) else grid_rule
        rules = [rule(mu, level) for level in (0, 1)]
    else:
        space, rules = _looked_for(mu.log_density if isinstance(mu, Gaussian) else mu, space)
    if facing is None:
        return space, rules
    box = space.support(facing(rules[0]))
    for _ in range(_TURNS):
        if isinstance(mu, Measure) or not space.hides(mu, box):
            break
        space, rules = _looked_for(mu, space._replace(box=box))
        box = space.support(facing(rules[0]))
    return space._replace(box=box), rules


def _looked_for(log_density: LogFunction, space: Space) -> tuple[Space, list[Rule]]:
    """A density by both rules, in the box that shows it, looked for from the space's."""
    space = space._replace(box=space.support(log_density))
    return space, [space.integrated(log_density, space.box, level) for level in (0, 1)]


def space_of(mu: Any, domain: Array | None, closed: bool, nodes: int | None) -> Space:
    """Radii of radial laws; standard coordinates of Gaussians; else the points themselves."""
    box = mu.points[[0, -1]] if isinstance(mu, Measure) else np.asarray(domain)
    dim = box.shape[1]
    if dim > 3:
        raise NotDefined(f"quadrature in dimension {dim} > 3: take a Radial law, or a Gaussian "
                         "where δS/δρ is quadratic")  # fmt: skip
    count = NODES[dim]
    if nodes is not None:  # one panel of 8 more at least: 9 and 14 nodes are the same two panels
        count = int(nodes), max(math.ceil(1.5 * nodes), 8 * math.ceil(nodes / 8) + 1)
    ends = np.outer([-np.inf, np.inf], np.ones(dim))
    if isinstance(mu, Gaussian):
        half, box = 0.5 * mu.log_det(), np.outer([-STANDARD, STANDARD], np.ones(dim))
        return Space(box, ends, count, lambda z: mu.mean() + z @ mu.sqrt_cov,
                     lambda z: np.full(len(z), half))  # fmt: skip
    if isinstance(mu, Radial):
        ends[0] = 0.0
    if domain is not None:
        box = np.stack([np.minimum(box[0], domain[0]), np.maximum(box[1], domain[1])])
        ends = np.clip(domain, *ends) if closed else ends
    space = Space(np.clip(box, *ends), ends, count)
    if not isinstance(mu, Radial):
        return space
    sphere = math.log(mu.dim) + log_ball_volume(mu.dim)
    return space._replace(log_volume=lambda r: sphere + (mu.dim - 1) * np.log(r[:, 0]))


def cells_rule(mu: Cells, level: int) -> Rule:
    """Gauss–Legendre in the volume of each cell, over which the mass is spread evenly.

    Raises
    ------
    NotDefined
        If a cell has no volume.
    """
    t, g = np.polynomial.legendre.leggauss(CELL_NODES[level])
    a, b, log_density = mu.points[:-1], mu.points[1:], np.repeat(mu.log_density(), len(t))
    if not np.isfinite(log_density).all():
        raise NotDefined("a cell without volume has no density")

    def at(s: Array) -> Array:
        """The point below which the fraction s of a cell lies."""
        if not isinstance(mu, Radial):
            return np.asarray(a + (b - a) * s)
        return np.asarray(b * np.exp(np.log1p(np.expm1(mu.dim * np.log(a / b)) * (1 - s)) / mu.dim))

    cuts = at(np.clip(0.5 * np.append(0.0, np.cumsum(g)), 0.0, 1.0))
    pieces = np.stack([cuts[:, :-1].ravel(), cuts[:, 1:].ravel()], axis=1)
    masses = np.outer(mu.mass, 0.5 * g).ravel()
    return Rule(at(0.5 * (1.0 + t)).reshape(-1, 1), masses, log_density, pieces, 0.0)


def grid_rule(mu: Grid, level: int) -> Rule:
    """Gauss–Legendre in each cell that holds mass, with as many nodes on every axis."""
    t, g = np.polynomial.legendre.leggauss(GRID_NODES[mu.dim][level])
    filled = mu.mass > 0
    x, mass, log_density = mu.points[filled], mu.mass[filled], mu.log_density()[filled]
    corners = [np.array(list(product(v, repeat=mu.dim))) for v in (t, 0.5 * g)]
    points = (x[:, None] + 0.5 * mu.spacing * corners[0]).reshape(-1, mu.dim)
    masses = np.outer(mass, corners[1].prod(axis=1)).ravel()
    cuts = mu.spacing * (np.append(0.0, np.cumsum(0.5 * g)) - 0.5)[:, None]
    pieces = np.concatenate([(x[:, None] + c).reshape(-1, mu.dim) for c in (cuts[:-1], cuts[1:])],
                            axis=1) if mu.dim == 1 else points  # fmt: skip
    return Rule(points, masses, np.repeat(log_density, len(corners[0])), pieces, 0.0)


def refined(mu: Grid, level: int) -> Grid:
    """The same density on cells cut into `PARTS`; level 0 is coarse, 1 fine."""
    return Grid(repeated(mu.density, PARTS[mu.dim][level]), mu.lower, mu.upper)


def shaped(mu: Grid, fine: Grid, log_f: Array) -> Rule:
    """The law with the masses of μ's cells that is proportional to f inside each of them.

    Parameters
    ----------
    fine : Grid
        μ, `refined`; f is read at its centres, log_f (M,) in their order.
    """
    parts = fine.shape[0] // mu.shape[0]
    split = [size for n in mu.shape for size in (n, parts)]
    inner = tuple(range(1, 2 * mu.dim, 2))
    logs = log_f.reshape(split)
    logs = np.where(logs.max(axis=inner, keepdims=True) == -np.inf, 0.0, logs)  # where f has none
    with np.errstate(divide="ignore"):
        mass = np.log(mu.mass).reshape(mu.shape)[(slice(None), None) * mu.dim]
    log_mass = (mass + logs - logsumexp(logs, axis=inner, keepdims=True)).ravel()
    return _on_cells(fine, log_mass, 0.0)


def tabulated(fine: Grid, log_f: Array) -> Rule:
    """f/∫f, with f uniform on the cells of a grid."""
    logs = log_f + math.log(fine.cell_volume)
    total = float(logsumexp(logs))
    return _on_cells(fine, logs - total, total)


def _on_cells(fine: Grid, log_mass: Array, log_total: float) -> Rule:
    x, half = fine.points, 0.5 * fine.spacing
    pieces = np.hstack([x - half, x + half]) if fine.dim == 1 else x
    log_density = log_mass - math.log(fine.cell_volume)
    return Rule(x, np.exp(log_mass), log_density, pieces, log_total)
