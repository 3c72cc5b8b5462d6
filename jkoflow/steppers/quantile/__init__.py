"""JKO steps of laws on the line and of radial laws, by Newton's method on the edges."""

from .stepper import QuantileNewton

__all__ = ["QuantileNewton"]
