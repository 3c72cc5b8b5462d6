"""The iteration of entropic scaling: one map in logarithms, whose fixed point is the step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from ...measures.base import Array
from ...measures.grid import Grid
from ...status import Status
from ...transport.entropic import LogKernel
from ..mixing import Mixing
from .prox import ProximalMap

_LIGHTEST = 1e-4  # relative density that the mixing's least squares still listens to
_SHARE = 0.7
_ROUNDING = 1e-14
_LARGEST = 300.0
_ABSURD = 1e100  # a logarithm of which no square is to be taken
_FARTHEST = 1e9  # shift of the price, beyond which no mass is to be had


class Look(NamedTuple):
    """One evaluation of the map: log a that came in, what it gave, log a that comes out."""

    log_a: Array
    log_b: Array
    log_s: Array
    log_density: Array
    following: Array


class Found(NamedTuple):
    """The best look of an iteration, the mass still in the wrong place, and how it went."""

    look: Look
    error: float
    iterations: int
    status: Status


class Scaling:
    """a ↦ b = μ/(G ∗ a) ↦ s = G ∗ b ↦ ρ = prox(s e^{−σV}) ↦ a' = ρ/s.

    The coupling a(x) G(x − y) b(y) always has μ as its second marginal; its first one is a s,
    which is ρ at the fixed point. With ``halves`` = 2, where half an entropy is taken off,
    ρ minimises σ(u + V) + ρ log(ρ/s) − ½ρ log ρ instead: the map of 2σ at s².
    """

    def __init__(
        self, mu: Grid, kernel: LogKernel, prox: ProximalMap, price: Array, halves: int
    ) -> None:
        self.mu, self.kernel, self.prox = mu, kernel, prox
        self.price, self.halves = price, halves
        self.open = price < np.inf
        # s² makes the map turn signs, the more so the less the energy; a shorter way does not
        self.share = min(1.0, _SHARE + prox.entropy) if halves == 2 else 1.0
        with np.errstate(divide="ignore"):
            self.log_mu = np.log(mu.density)

    def density(self, log_s: Array, shift: float = 0.0) -> Array:
        """log ρ for log s; a shift of the price changes the mass."""
        return self.prox(self.halves * (log_s - self.price + shift))

    def look(self, log_a: Array) -> Look:
        """Apply the map once."""
        log_b = self.log_mu - self.kernel(log_a)
        log_s = self.kernel(log_b)
        return self._completed(log_a, log_b, log_s)

    def _completed(self, log_a: Array, log_b: Array, log_s: Array) -> Look:
        """A look from both sides' scalings. Mass 1 is imposed where that is a factor."""
        log_rho = self.density(log_s)
        if self.prox.scales:
            top = log_rho.max()
            total = np.exp(log_rho - top).sum() * self.mu.cell_volume
            log_rho = log_rho - (top + np.log(total))
        with np.errstate(invalid="ignore"):
            moved = log_a + self.share * (log_rho - log_s - log_a)
        following = np.where(self.open, moved, -np.inf)
        return Look(log_a, log_b, log_s, log_rho, following)

    def error(self, look: Look) -> float:
        """L1 distance of the coupling's marginal and the proximal density."""
        with np.errstate(over="ignore", invalid="ignore"):
            difference = np.exp(look.log_a + look.log_s) - np.exp(look.log_density)
        return float(np.abs(difference).sum() * self.mu.cell_volume)

    def balanced(self, look: Look) -> Look:
        """The same with a divided, and b multiplied, by what gives the proximal density mass 1."""
        if self.prox.scales:
            return look
        shift = self.shift(look)
        return self._completed(look.log_a - shift, look.log_b + shift, look.log_s + shift)

    def run(self, log_a: Array, tolerance: float, max_iterations: int, memory: int) -> Found:
        """Iterate with mixing until the error is small."""
        mixing = Mixing(memory)
        best, least, status = self.balanced(self.look(log_a)), np.inf, Status.MAX_ITERATIONS
        for k in range(1, max_iterations + 1):
            look = best if k == 1 else self.look(log_a)
            error = self.error(look)
            if error < least:
                best, least = look, error
            if error <= tolerance:
                status = Status.CONVERGED
                break
            following = look.following[self.open]
            if not (np.abs(following) < _ABSURD).all():
                status = Status.NON_FINITE
                break
            mixed = mixing.next(look.log_a[self.open], following, self._weights(look))
            log_a = np.full(self.mu.shape, -np.inf)
            log_a[self.open] = mixed
        return Found(best, least, k, status)

    def _weights(self, look: Look) -> Array:
        rho = np.exp(np.minimum(look.log_density[self.open], _LARGEST))
        return np.asarray(np.maximum(rho, _LIGHTEST * rho.max()))

    def shift(self, look: Look) -> float:
        """By how much more log s gives the proximal density mass 1; NaN if none is found."""
        def excess(shift: float) -> float:
            log_rho = self.density(look.log_s, shift)
            top = log_rho.max()
            total = float(np.exp(log_rho - top).sum()) * self.mu.cell_volume
            return float(top + np.log(total))

        here, step = excess(0.0), 1e-6
        if abs(here) <= _ROUNDING:
            return 0.0
        away = -float(np.sign(here))
        while excess(away * step) * here > 0 and step < _FARTHEST:
            step *= 8.0
        if not excess(away * step) * here <= 0:  # no price buys the mass 1, or NaN
            return float("nan")
        return float(brentq(excess, *sorted((0.0, away * step)), xtol=1e-15, rtol=1e-14))

    def normalised(self, look: Look) -> Array:
        """The proximal density, with the shift at which its mass is 1."""
        density = np.exp(self.density(look.log_s, self.shift(look)))
        return np.asarray(density / (density.sum() * self.mu.cell_volume))
