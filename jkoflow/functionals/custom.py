"""A functional of one's own from one Python function F(x, w) of weighted points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_among
from ..measures.base import Array
from ..status import InvalidFunctional, JkoflowError
from .answers import answer_of, claimed, finite_answer, require_functions, said
from .autodiff import BACKENDS, Backend
from .base import Smooth
from .curvature import Action, Curvature
from .identity import describe
from .scale import with_scale

ValueFunction = Callable[[Any, Any], Any]
_EPS = float(np.finfo(float).eps)
_LIGHT = 1e-7  # weights below which moving a point moves F by too little: the error is (eps/w)^⅔
_MIXTURE = 1e-5  # of the mixture (1−ε)ρ + εδ: balances the ε² error and the rounding eps/ε


class CustomFunctional(Smooth):
    """What `functional` makes of a Python function; see there."""

    def __init__(
        self,
        function: ValueFunction,
        gradient: Callable[[Array, Array], ArrayLike] | None = None,
        convexity: float | None = None,
        autodiff: str | None = None,
    ) -> None:
        if not callable(function):
            raise InvalidFunctional(f"@functional decorates a function F(x, w), not {function!r}")
        require_functions(gradient=gradient)
        if autodiff is not None and not is_among(autodiff, BACKENDS):
            raise InvalidFunctional(f"autodiff must be 'jax', 'torch' or None, not {autodiff!r}")
        self.function, self.given_gradient, self.autodiff = function, gradient, autodiff
        self.convexity = claimed(convexity, "convexity")
        self.name = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = getattr(function, "__doc__", None) or type(self).__doc__
        self._backend: Backend | None = None if autodiff is None else BACKENDS[autodiff]()
        self._tried = False

    def at_scale(self, scale: float) -> CustomFunctional:
        return with_scale(self, scale, self.given_gradient is None)

    def __call__(self, x: ArrayLike, w: ArrayLike) -> float:
        """F at points (n, d) and weights (n,)."""
        return self.value_at_points(np.asarray(x, dtype=float), np.asarray(w, dtype=float))

    def value_at_points(self, x: Array, w: Array) -> float:
        value = self._answer(x, w)
        if not self._tried:
            again = self._answer(x, w)
            if again != value:
                raise InvalidFunctional(
                    f"{self.name} answered {value!r} and then {again!r} for the same points: a "
                    "functional must not depend on chance or on earlier calls"
                )
            self._tried = True
        return value

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        """Derivative at ε = 0 of F((1−ε)ρ + εδ_at), so that ∫δF dρ = 0."""
        if self._backend is not None:
            return self._guarded(self._backend.first_variation, self.function, x, w, at)
        here = self.value_at_points(x, w)
        return np.array([self._mixture_slope(x, w, point, here) for point in at])

    def _mixture_slope(self, x: Array, w: Array, point: Array, here: float) -> float:
        """Second order and one-sided: a mixture with ε < 0 has a negative weight."""
        points = np.concatenate([x, point[None]])

        def mixed(eps: float) -> float:
            return self._answer(points, np.concatenate([(1 - eps) * w, [eps]]))

        difference = 4 * (mixed(_MIXTURE) - here) - (mixed(2 * _MIXTURE) - here)
        return difference / (2 * _MIXTURE)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        if self.given_gradient is not None:
            return self._given(x, w)
        if self._backend is not None and (w > 0).all():
            derivative = self._guarded(self._backend.derivative, self.function, x, w)
            return derivative / w[:, None]
        return self._differences(x, w)

    def _given(self, x: Array, w: Array) -> Array:
        function = self.given_gradient
        assert function is not None
        name = f"the gradient of {self.name}"
        return finite_answer(answer_of(function, (x, w), x.shape, name), name)

    def _differences(self, x: Array, w: Array) -> Array:
        """∂F/∂x_i / w_i by central differences; light points through the first variation."""
        gradient = np.empty_like(x)
        # F moves by w_i·h and rounds by eps, so light points need longer steps
        steps = np.cbrt(_EPS / np.maximum(w, _LIGHT))[:, None]
        steps = steps * np.maximum(self.difference_scale, np.abs(x))
        for i in range(len(x)):
            for k in range(x.shape[1]):
                gradient[i, k] = self._difference(x, w, i, k, steps[i, k])
        return gradient

    def _difference(self, x: Array, w: Array, i: int, k: int, h: float) -> float:
        if w[i] > _LIGHT:
            up, down = x.copy(), x.copy()
            up[i, k] += h
            down[i, k] -= h
            change = self._answer(up, w) - self._answer(down, w)
            return change / (w[i] * (up[i, k] - down[i, k]))
        pair = np.stack([x[i], x[i]])
        # balances h² and the rounding eps/(_MIXTURE·h)
        h = 3e-4 * max(self.difference_scale, abs(x[i, k]))
        pair[:, k] += [h, -h]
        above, below = self.first_variation_at_points(x, w, pair)
        return float(above - below) / (2 * h)

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        """Zero blocks, and the action of the Hessian by central differences of the gradient.

        Its error is about 1e-10 with a gradient or autodiff, and 1e-4 with neither.
        """
        exact = self.given_gradient is not None or self._backend is not None
        relative = np.cbrt(_EPS) if exact else 1e-3

        def apply(v: Array) -> Array:
            length = float(np.abs(v).max())
            if length == 0.0:
                return np.zeros_like(v)
            h = relative * max(self.difference_scale, float(np.abs(x).max())) / length
            change = self.gradient_at_points(x + h * v, w) - self.gradient_at_points(x - h * v, w)
            return w[:, None] * change / (2 * h)

        return Curvature(np.zeros((*x.shape, x.shape[1])), [Action(apply)])

    def spec(self) -> dict[str, Any]:
        return {
            "name": "functional",
            "function": describe(self.function),
            "convexity": self.convexity,
            "autodiff": self.autodiff,
        }

    def __repr__(self) -> str:
        return self.name

    def _answer(self, x: Array, w: Array) -> float:
        evaluate = self.function if self._backend is None else self._backend.evaluate(self.function)
        answer = self._guarded(evaluate, _read_only(x), _read_only(w))
        return _one_number(answer, self.name)

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except JkoflowError:
            raise
        except Exception as error:
            raise InvalidFunctional(said(self.name, error)) from error


def functional(
    function: ValueFunction | None = None,
    *,
    gradient: Callable[[Array, Array], ArrayLike] | None = None,
    convexity: float | None = None,
    autodiff: str | None = None,
) -> Any:
    """Make a functional of a function of weighted points; a decorator, with or without brackets.

    Parameters
    ----------
    function : callable
        F(x, w) for points (n, d) and weights (n,): one real number.
    gradient : callable, optional
        (x, w) → the Wasserstein gradient (n, d), that is ∂F/∂x_i = w_i g_i. If not given, it
        comes from ``autodiff``, or from central differences, which call F 2·n·d times.
    convexity : float, optional
        Claimed modulus along generalised geodesics; the judge attacks it.
    autodiff : {"jax", "torch"}, optional
        Differentiate F with that library (an extra); F is then called with its arrays.

    Returns
    -------
    CustomFunctional

    Raises
    ------
    InvalidFunctional
        At evaluation, if F raises (chained), changes its input, answers differently when first
        asked twice, or answers with anything but one real number.
    MissingExtra
        If the library for ``autodiff`` is not installed.

    Examples
    --------
    >>> import jkoflow as jf
    >>> @jf.functional
    ... def spread(x, w):
    ...     mean = w @ x
    ...     return float(w @ ((x - mean) ** 2).sum(axis=1))
    >>> mu = jf.Particles([[-1.0], [1.0]])
    >>> spread.value(mu), spread.gradient(mu).ravel().round(6)
    (1.0, array([-2.,  2.]))
    """

    def decorate(f: ValueFunction) -> CustomFunctional:
        return CustomFunctional(f, gradient, convexity, autodiff)

    return decorate if function is None else decorate(function)


def _read_only(array: Array) -> Array:
    copy = np.array(array, dtype=float)
    copy.setflags(write=False)
    return copy


def _one_number(answer: Any, name: str) -> float:
    """The answer as a float that is not NaN; infinity is a value."""
    if answer is None:
        raise InvalidFunctional(f"{name} returned None: does it lack a return statement?")
    try:
        value = np.asarray(answer)
        if value.dtype.kind not in "biufO":  # float() would read a text, too
            raise InvalidFunctional(f"{name} must return a real number, but returned {answer!r}")
        if value.ndim != 0:
            raise InvalidFunctional(
                f"{name} must return one number, but returned an array of shape {value.shape}: "
                "is a sum over the points missing?"
            )
        number = float(value)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidFunctional):
            raise
        raise InvalidFunctional(f"{name} must return a number, not {answer!r}") from error
    if np.isnan(number):
        raise InvalidFunctional(f"{name} returned NaN: check it at the points of the measure")
    return number
