"""Implicit Euler steps of finite volumes: one factorisation where linear, else Newton–Krylov."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, bicgstab, splu

from ..functionals.base import Functional, Smooth, SmoothSum
from ..functionals.internal import Entropy, PowerEnergy
from ..measures.base import Array
from ..measures.grid import Grid
from ..status import InvalidMeasure, NotDefined
from .finite_volume_faces import Faces

_KRYLOV = 8  # iterations after which a new factorisation pays
_PATIENCE = 2000  # iterations with the diagonal alone
_LARGEST_DIRECT = {1: 10_000_000, 2: 1_000_000, 3: 5_000}  # cells; beyond, no factorisation pays
_ACCURACY = 1e-4  # of Newton's directions, relative
_GUESS = 1e-4  # mass that a coarse step may be short of
_TINY = 1e-14  # of the mean density: where derivatives of powers are taken at least


class Terms(NamedTuple):
    """F = ∫V dρ + S(ρ) + temperature·H + powers, S the smooth terms that are not linear."""

    potential: Array
    smooth: Smooth
    temperature: float
    powers: list[tuple[float, PowerEnergy]]

    @property
    def linear(self) -> bool:
        """Whether the equation is."""
        return not self.smooth.terms and not self.powers


def terms_of(F: Functional, mu: Grid) -> Terms:
    """F sorted by how its parts enter a step.

    Raises
    ------
    NotDefined
        For internal energies other than the entropy and powers, and for negative multiples.
    InvalidMeasure
        If there is mass in an obstacle.
    """
    linear: list[tuple[float, Smooth]] = []
    rest: list[tuple[float, Smooth]] = []
    temperature, powers = 0.0, []
    for c, f in F.terms:
        if isinstance(f, Entropy):
            temperature += c
        elif isinstance(f, PowerEnergy) and c > 0:
            powers.append((c, f))
        elif isinstance(f, Smooth):
            (linear if getattr(f, "linear", False) else rest).append((c, f.on(mu)))
        else:
            raise NotDefined(
                f"finite volumes take Entropy and positive multiples of PowerEnergy, not {f!r}"
            )
    if temperature < 0:
        raise NotDefined(f"the entropy's coefficient {temperature:g} is negative: ill-posed")
    x, w = mu.points, mu.weights
    potential = SmoothSum(linear).first_variation_at_points(x, w, x)
    if (w[~np.isfinite(potential)] > 0).any():
        raise InvalidMeasure("there is mass where V = +∞: start with none in obstacles")
    return Terms(potential, SmoothSum(rest), float(temperature), powers)


class Solver:
    """Steps (ρ − ρ_old)/Δt + div J(ρ) = 0 on the open cells of one grid.

    The potential of the flux J is V + Σ U'(ρ) + δS at the mean of old and new, which for quadratic
    S (interactions, risks) makes the change of S exact.
    """

    def __init__(self, F: Functional, mu: Grid, tolerance: float, max_iterations: int) -> None:
        self.terms, self.mu = terms_of(F, mu), mu
        self.faces = Faces.of(mu, self.terms.potential)
        self.potential = self.terms.potential[self.faces.open]
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.iterations = self.factorisations = 0
        self._least = _TINY / float(np.prod(mu.upper - mu.lower))
        self._factor: Callable[[Array], Array] | None = None
        self._factored: float | None = None
        self._matrix: Any = None
        self._rates: tuple[Array, Array] = (np.zeros(0), np.zeros(0))
        self._coarse = self._half(F)

    def _half(self, F: Functional) -> Solver | None:
        """The same on cells of twice the size, whose steps are good guesses where fronts move:
        by itself Newton's method moves a front by a cell an iteration."""
        halved = all(n % 2 == 0 and n >= 16 for n in self.mu.shape)
        if self.terms.linear or not (halved and self.faces.open.all()):
            return None
        mu = Grid(coarsened(self.mu.density), self.mu.lower, self.mu.upper)
        return Solver(F, mu, _GUESS, self.max_iterations)

    def _guess(self, old: Array, dt: float) -> Array | None:
        if self._coarse is None:
            return None
        coarse = coarsened(old.reshape(self.mu.shape))
        found = self._coarse.step(coarse.ravel(), dt)
        return None if found is None else refined(found.reshape(coarse.shape)).ravel()

    def step(self, rho: Array, dt: float) -> Array | None:
        """The new density of all cells (N,), or None if Newton's method fails."""
        new = np.zeros(rho.size)
        old = rho[self.faces.open]
        found = self._linear(old, dt) if self._direct else self._newton(old, dt)
        if found is None or not np.isfinite(found).all():
            return None
        new[self.faces.open] = found
        return new

    @property
    def _exact_factors(self) -> bool:
        return self.faces.cells <= _LARGEST_DIRECT[self.mu.dim]

    @property
    def _direct(self) -> bool:
        return self.terms.linear and self._exact_factors

    def _linear(self, old: Array, dt: float) -> Array:
        """An M-matrix, factored without pivoting: no subtractions, hence nonnegative answers.

        The diagonal rounds what the fluxes add up to. One refinement, whose residual is taken from
        the fluxes themselves, keeps stationary states where they are for thousands of steps.
        """
        if self._factor is None or self._factored != dt:
            jump = self.faces.jump(self.potential)
            flux = self.faces.fluxes(old, jump, self.terms.temperature)
            self._factorise(flux.out, flux.back, dt)
            self._factored, self._rates = dt, (flux.out, flux.back)
        assert self._factor is not None
        new, (out, back) = self._factor(old), self._rates
        moved = out * new[self.faces.left] - back * new[self.faces.right]
        better = new + self._factor((old - new) - dt * self.faces.divergence(moved))
        return np.where(better > 0, better, new)

    def _factorise(self, out: Array, back: Array, dt: float) -> None:
        """Exact factors, or the diagonal where they would not fit."""
        matrix = self.faces.matrix(dt * out, dt * back)
        self._matrix = matrix.tocsr()
        if self._exact_factors:
            options: Any = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0}
            self._factor = splu(matrix, options={"SymmetricMode": True}, **options).solve
            self.factorisations += 1
        else:
            inverse = 1.0 / matrix.diagonal()
            self._factor = lambda v: inverse * v

    def _newton(self, old: Array, dt: float) -> Array | None:
        """Newton's method; iterates stay nonnegative, and the residual, in mass, falls."""
        rho, volume = old.copy(), self.mu.cell_volume
        here = self._at(rho, old, dt)
        if volume * float(np.abs(here.residual).sum()) > _GUESS:
            guess = self._guess(old, dt)
            there = here if guess is None else self._at(guess, old, dt)
            if guess is not None and np.abs(there.residual).sum() < np.abs(here.residual).sum():
                rho, here = guess, there
        for _ in range(self.max_iterations):
            size = volume * float(np.abs(here.residual).sum())
            if size <= self.tolerance:
                return rho
            change = self._direction(here, dt)
            if change is None:
                return None
            for t in (1.0, 0.5, 0.25, 0.1, 0.02, 0.004):
                trial = rho + t * change
                trial = np.where(trial > 0, trial, 0.1 * rho)
                there = self._at(trial, old, dt)
                if volume * float(np.abs(there.residual).sum()) < size:
                    break
            else:
                return rho if size <= 100.0 * self.tolerance else None
            rho, here = trial, there
            self.iterations += 1
        return None

    def _at(self, rho: Array, old: Array, dt: float) -> _Linearised:
        jump = self.faces.jump(self.potential + self._moving(rho, old))
        flux = self.faces.fluxes(rho, jump, self.terms.temperature)
        residual = rho - old + dt * self.faces.divergence(flux.value)
        bend = self._bend(rho)
        out = flux.out - flux.slope * bend[self.faces.left]
        back = flux.back - flux.slope * bend[self.faces.right]
        return _Linearised(residual, out, back, flux.slope, 0.5 * (rho + old))

    def _moving(self, rho: Array, old: Array) -> Array:
        """What of the potential depends on ρ."""
        total = np.zeros(len(rho))
        with np.errstate(divide="ignore"):
            for c, f in self.terms.powers:
                floor = 0.0 if f.m > 1 else self._least
                total += c * f.slope(np.log(np.maximum(rho, floor)))
        if self.terms.smooth.terms:
            total += self._variation(0.5 * (rho + old))
        return total

    def _variation(self, rho: Array) -> Array:
        """δS/δρ on the open cells; ρ may be any function on them."""
        w = np.zeros(self.faces.open.size)
        w[self.faces.open] = rho * self.mu.cell_volume
        x = self.mu.points
        return self.terms.smooth.first_variation_at_points(x, w, x)[self.faces.open]

    def _bend(self, rho: Array) -> Array:
        """Σ c U''(ρ)."""
        total = np.zeros(len(rho))
        held = np.maximum(rho, self._least)
        for c, f in self.terms.powers:
            _, de, dde = f.energy_per_mass(np.log(held))
            total += c * (de + dde) / held
        return total

    def _direction(self, here: _Linearised, dt: float) -> Array | None:
        """Newton's direction by BiCGSTAB, with the last factorisation as long as it serves."""

        def product(v: Array) -> Array:
            if not self._exact_factors:  # the matrix is at hand, and it is that of here
                local = np.asarray(self._matrix @ v)
            else:
                moved = here.out * v[self.faces.left] - here.back * v[self.faces.right]
                local = v + dt * self.faces.divergence(moved)
            if not self.terms.smooth.terms:
                return local
            moved = here.slope * self.faces.jump(self._varied(here.mean, v))
            return np.asarray(local + dt * self.faces.divergence(moved))

        accuracy = 1e-9 if self.terms.linear else _ACCURACY
        n, most = self.faces.cells, _KRYLOV if self._exact_factors else _PATIENCE
        operator = LinearOperator((n, n), matvec=product, dtype=float)
        for last in (False, True):
            if last or self._factor is None or not self._exact_factors:
                self._factorise(here.out, here.back, dt)
            solution, info = bicgstab(
                operator, -here.residual, rtol=accuracy, atol=0.0, maxiter=most,
                M=LinearOperator((n, n), matvec=self._factor, dtype=float),
            )  # fmt: skip
            if info == 0:
                break
            most = _PATIENCE
        return np.asarray(solution) if np.isfinite(solution).all() else None

    def _varied(self, mean: Array, v: Array) -> Array:
        """Half the derivative of δS/δρ in the direction v, exact for quadratic S."""
        scale = 1e-3 / max(self.mu.cell_volume * float(np.abs(v).sum()), 1e-300)
        change = self._variation(mean + scale * v) - self._variation(mean)
        return np.asarray(0.5 / scale * change)


class _Linearised(NamedTuple):
    residual: Array
    out: Array
    back: Array
    slope: Array
    mean: Array


def coarsened(rho: Array) -> Array:
    """Means over blocks of two cells an axis."""
    for axis in range(rho.ndim):
        ahead = np.moveaxis(rho, axis, 0)
        rho = np.moveaxis(0.5 * (ahead[::2] + ahead[1::2]), 0, axis)
    return rho


def refined(rho: Array) -> Array:
    """Linear interpolation to the halves of the cells, mirrored at walls; keeps the integral."""
    for axis in range(rho.ndim):
        ahead = np.moveaxis(rho, axis, 0)
        padded = np.concatenate([ahead[:1], ahead, ahead[-1:]])
        fine = np.empty((2 * len(ahead), *ahead.shape[1:]))
        fine[::2] = 0.75 * ahead + 0.25 * padded[:-2]
        fine[1::2] = 0.75 * ahead + 0.25 * padded[2:]
        rho = np.moveaxis(fine, 0, axis)
    return rho
