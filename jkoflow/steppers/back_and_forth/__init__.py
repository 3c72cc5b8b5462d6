"""JKO steps of densities on grids, by ascent on the dual with exact c-transforms."""

from .stepper import BackAndForth

__all__ = ["BackAndForth"]
