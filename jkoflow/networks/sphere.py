"""Gaussian units on the sphere, and the exact risk of fitting a 3-spin energy with them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import gammaln, ive

from ..arguments import is_finite, is_whole
from ..functionals.base import Smooth
from ..measures.base import Array, Measure
from ..status import InvalidFunctional, InvalidProblem
from .manifolds import Sphere
from .spin import ThreeSpin
from .units import Unit


class SphereUnit(Unit):
    """σ*(x;θ) = c exp(−(α/2)|x − z|²)/m with θ = (c, z): a charge c, a position z on the sphere.

    x and z have norm √d, so the bump is exp(−αd(1 − s)) with s = ⟨x, z⟩/d. A z of another norm is
    first brought to the sphere, which makes σ* a function on R^{1+d} with tangential gradients.
    m is its mean over uniform x if ``normalised``, else 1.

    A rotation-invariant kernel multiplies each spherical harmonic of degree l by a number,
    `eigenvalue` (Funk and Hecke): e^{−κ} Γ(d/2) (2/κ)^ν I_{ν+l}(κ)/m with κ = αd, ν = d/2 − 1.

    Parameters
    ----------
    dim : int
        d ≥ 2.
    alpha : float
        α > 0.
    normalised : bool

    Raises
    ------
    InvalidFunctional
        For arguments that make no sense.

    Examples
    --------
    >>> unit = SphereUnit(5, alpha=1.0)
    >>> [round(unit.eigenvalue(degree), 6) for degree in (0, 1, 3)]
    [1.0, 0.649858, 0.15966]
    """

    def __init__(self, dim: int, alpha: float, normalised: bool = True) -> None:
        if not is_whole(dim, least=2):
            raise InvalidFunctional(f"dim must be an integer ≥ 2, not {dim!r}")
        if not (is_finite(alpha) and alpha > 0):
            raise InvalidFunctional(f"alpha must be a positive number, not {alpha!r}")
        self.input_dim, self.alpha, self.normalised = int(dim), float(alpha), bool(normalised)
        self.mean = self._bessel(0) if normalised else 1.0

    @property
    def manifold(self) -> Sphere:
        """R × the sphere of radius √d."""
        return Sphere(float(np.sqrt(self.input_dim)), slice(1, None))

    def dim(self, input_dim: int) -> int:
        return input_dim + 1

    def eigenvalue(self, degree: int) -> float:
        """What σ*(·;(1, ·)) multiplies harmonics of this degree by, as a kernel on the sphere."""
        return self._bessel(degree) / self.mean

    def _bessel(self, degree: int) -> float:
        nu, kappa = self.input_dim / 2 - 1, self.alpha * self.input_dim
        scale = gammaln(nu + 1) + nu * np.log(2 / kappa)
        return float(np.exp(scale) * ive(nu + degree, kappa))

    def positions(self, theta: Array) -> tuple[Array, Array]:
        """Positions on the sphere (n, d), and √d/|z| (n, 1)."""
        z = theta[:, 1:]
        scale = np.sqrt(self.input_dim) / np.linalg.norm(z, axis=1, keepdims=True)
        return z * scale, scale

    def pull_back(self, theta: Array, charges: Array, at_positions: Array) -> Array:
        """Derivatives by the charges and by positions on the sphere, as derivatives by θ."""
        z, scale = self.positions(theta)
        along = np.einsum("nd,nd->n", at_positions, z) / self.input_dim
        tangent = scale * (at_positions - along[:, None] * z)
        return np.concatenate([charges[:, None], tangent], axis=1)

    def _bump(self, z: Array, x: Array) -> Array:
        """For z and x on the sphere, (b, n)."""
        return np.exp(self.alpha * (x @ z.T - self.input_dim)) / self.mean

    def value(self, theta: Array, x: Array) -> Array:
        return theta[:, 0] * self._bump(self.positions(theta)[0], x)

    def vjp(self, theta: Array, x: Array, c: Array) -> Array:
        weighted = c[:, None] * self._bump(self.positions(theta)[0], x)
        slopes = self.alpha * theta[:, :1] * (weighted.T @ x)
        return self.pull_back(theta, weighted.sum(axis=0), slopes)

    @cached_property
    def _series(self) -> Array:
        """a_j in E_x σ*(x;(1,z)) σ*(x;(1,z')) = Σ_j a_j (1 + s)^j, s = ⟨z, z'⟩/d.

        E exp(α⟨x, v⟩) = ₀F₁(; d/2; α²d|v|²/4) at v = z + z', |v|² = 2d(1 + s): all terms are
        positive, so that no digits are lost.
        """
        half, kappa = self.input_dim / 2, self.alpha * self.input_dim
        j = np.arange(int(60 + 4 * kappa))
        logs = j * np.log(kappa**2 / 2) - gammaln(j + 1) - gammaln(half + j) + gammaln(half)
        logs -= 2 * kappa + 2 * np.log(self.mean)
        at_one = logs + j * np.log(2.0)
        return np.exp(logs[: np.flatnonzero(at_one > at_one.max() - 40.0)[-1] + 1])

    def kernel(self, s: Array) -> Array:
        """E_x σ*(x;(1,z)) σ*(x;(1,z')) at s = ⟨z, z'⟩/d."""
        return _polynomial(self._series, 1.0 + s)

    def kernel_slope(self, s: Array) -> Array:
        """Its derivative by s."""
        return _polynomial(self._series[1:] * np.arange(1, len(self._series)), 1.0 + s)

    def spec(self) -> dict[str, Any]:
        return {"unit": "SphereUnit", "dim": self.input_dim, "alpha": self.alpha,
                "normalised": self.normalised}  # fmt: skip

    def __repr__(self) -> str:
        return f"SphereUnit(dim={self.input_dim}, alpha={self.alpha:g})"


class SpinRisk(Smooth):
    """R(ρ) = E(f(x) − ∫σ*(x;θ)ρ(dθ))² for a 3-spin f and Gaussian units, without sampling x.

    R = E f² − 2∫c F(z) dρ + ∬c c' K(z, z') dρdρ, where F = λ_1 f_1 + λ_3 f_3 with the unit's
    eigenvalues, and K is its `kernel`. Costs O(n²).

    Parameters
    ----------
    spin : ThreeSpin
    unit : SphereUnit

    Raises
    ------
    InvalidProblem
        If their dimensions differ.
    InvalidFunctional
        At evaluation, for points that are not in R^{1+d}, or have z = 0.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> spin = ThreeSpin.draw(4, rng=0)
    >>> R = SpinRisk(spin, SphereUnit(4, alpha=0.5))
    >>> R.value(Particles([[0.0, 1.0, 0.0, 0.0, 0.0]])) == spin.second_moment
    True
    """

    convex_in_mixtures = True

    def __init__(self, spin: ThreeSpin, unit: SphereUnit) -> None:
        if spin.dim != unit.input_dim:
            raise InvalidProblem(f"{spin!r} and {unit!r} live in different dimensions")
        self.spin, self.unit = spin, unit
        self._factors = {degree: unit.eigenvalue(degree) for degree in (1, 3)}

    def value_at_points(self, x: Array, w: Array) -> float:
        c, z, m = self._field(x, w, x)
        return self._value(c, w, self._target(z), m)

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        c, z, m = self._field(x, w, at)
        return 2.0 * c * (m - self._target(z))

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return self.value_and_gradient_at_points(x, w)[1]

    def value_and_gradient_at_points(self, x: Array, w: Array) -> tuple[float, Array]:
        c, z = x[:, 0], self._positions(x)
        d, target = self.spin.dim, self._target(z)
        s = z @ z.T / d
        m = self.unit.kernel(s) @ (w * c)
        slopes = self.unit.kernel_slope(s) @ ((w * c)[:, None] * z) / d
        gradients = self.spin.gradients(z)
        slopes -= sum(self._factors[degree] * gradients[degree] for degree in (1, 3))
        gradient = 2.0 * self.unit.pull_back(x, m - target, c[:, None] * slopes)
        return self._value(c, w, target, m), gradient

    def lower_bound(self) -> float:
        return 0.0

    def on(self, mu: Measure) -> SpinRisk:
        if mu.points.shape[1] != self.spin.dim + 1:
            raise InvalidFunctional(
                f"the points are (c, z) in R^{self.spin.dim + 1}, not in R^{mu.points.shape[1]}"
            )
        return self

    def _positions(self, x: Array) -> Array:
        z = self.unit.positions(x)[0] if x[:, 1:].any(axis=1).all() else np.array(np.nan)
        if not np.isfinite(z).all():
            raise InvalidFunctional("a position z is 0 or not finite: the sphere has no such point")
        return z

    def _field(self, x: Array, w: Array, at: Array) -> tuple[Array, Array, Array]:
        """Charges and positions ``at``, and ∫c'K(z, z')ρ(dθ') there."""
        z, other = self._positions(at), self._positions(x)
        m = self.unit.kernel(z @ other.T / self.spin.dim) @ (w * x[:, 0])
        return at[:, 0], z, m

    def _target(self, z: Array) -> Array:
        parts = self.spin.parts(z)
        return np.asarray(sum(self._factors[degree] * parts[degree] for degree in (1, 3)))

    def _value(self, c: Array, w: Array, target: Array, m: Array) -> float:
        # rounding may leave a square a little below 0
        return max(0.0, float(self.spin.second_moment + (w * c) @ (m - 2.0 * target)))

    def spec(self) -> dict[str, Any]:
        return {"name": "SpinRisk", **self.spin.spec(), **self.unit.spec()}

    def __repr__(self) -> str:
        return f"SpinRisk({self.spin!r}, {self.unit!r})"


def _polynomial(coefficients: Array, t: Array) -> Array:
    """Σ a_j t^j, by Horner's rule in place."""
    result = np.full_like(t, coefficients[-1])
    for a in coefficients[-2::-1]:
        result *= t
        result += a
    return result
