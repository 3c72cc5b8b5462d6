"""How far internal energies are from convex in the corners of simplices."""

from __future__ import annotations

import numpy as np

from ..measures.mesh import Mesh
from ..measures.mesh_intersections import overlaps_itself
from ..measures.nodal_forms import area_bound, stretch_bound
from ..status import MissingStructure, NotDefined
from .answers import of_the_library
from .base import Functional
from .internal import Internal


def modulus_in_corners(F: Functional, mu: Mesh) -> float:
    """A λ with F(Y) ≥ F(X) + Σ w_i⟨∇F, v_i⟩ + (λ/2) Σ w_i|v_i|² for all unfolded Y = X + v.

    Y are meshes of the simplices of ``mu``, none turned over.

    In the plane: with u convex, the energy |T|u(m_T/|T|) is convex in the area |T|, with the
    slope −p_T, p = ρu' − u: F lies above Σ_T −p_T|T| up to a constant. Areas are quadratic in the
    corners, so that what is left of second order is −Σ_T p_T a_T(v), which `area_bound` bounds by
    (λ/2)Σ w_i|v_i|². It acts where p jumps: in a mesh of edges h by h|∇p|, so that λ is about
    −|∇p|/(ρh), and at a rim with p > 0 by p, so that λ is about −p/(ρh²) there.

    In space the volume is cubic. But where F is displacement convex (McCann 1997), the energy is
    convex and falls in |T|^(1/d), with the slope −d p_T|T|^(1−1/d); and with the derivative Dv of
    v in T, |T + v|^(1/d) = |T|^(1/d) det(1 + Dv)^(1/d) ≤ |T|^(1/d)(1 + (tr Dv + ½|Dv|²)/d). So F
    lies above its tangent less ½ Σ_T p_T|T||Dv|², for which there is `stretch_bound`: λ is about
    −8p/(ρh²) everywhere.

    Raises
    ------
    MissingStructure
        For energies that are no sums of the library's with coefficients c ≥ 0, and in space for
        those that claim no displacement convexity.
    NotDefined
        Where parts of the mesh cover each other, whose density the simplices do not tell.

    Examples
    --------
    >>> from jkoflow import PowerEnergy
    >>> for rings in (8, 16, 32):                    # p = ρ vanishes at the rim: order 1/h
    ...     disc = Mesh.disc(1.0, rings, lambda x: (1.0 - (x**2).sum(axis=1)) ** 2)
    ...     print(round(modulus_in_corners(PowerEnergy(2.0), disc), 1))
    -26.1
    -56.3
    -117.6
    """
    terms = [(c, f) for c, f in F.terms
             if isinstance(f, Internal) and of_the_library(type(f)) and c >= 0.0]  # fmt: skip
    if len(terms) < len(F.terms) or (mu.dim > 2 and F.convexity_near(mu, 0.0) != 0.0):
        raise MissingStructure("the energy of simplices is not convex in their nodes: the step is "
                               "stationary, but not proved minimal")  # fmt: skip
    if overlaps_itself(mu.nodes, mu.simplices):
        raise NotDefined("parts of the mesh cover each other: its density is not that of its "
                         "simplices; re-mesh, or take smaller steps")  # fmt: skip
    pressures = sum((c * f.pressures(mu) for c, f in terms), np.zeros(len(mu.mass)))
    return -(area_bound if mu.dim == 2 else stretch_bound)(mu, pressures)
