"""JKO steps of Gaussians: closed forms, and proximal steps within the Gaussians."""

from .stepper import BuresProximal

__all__ = ["BuresProximal"]
