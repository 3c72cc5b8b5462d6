"""JKO steps as convex programs, by cvxpy: an oracle for small problems, and non-smooth energies."""

from .stepper import ConvexProgram

__all__ = ["ConvexProgram"]
