"""JKO steps of densities on grids by entropic scaling: blurred transport, cheap iterations."""

from .stepper import EntropicScaling

__all__ = ["EntropicScaling"]
