"""JKO steps of densities on moving meshes: Newton's method on the nodes."""

from .stepper import MeshNewton

__all__ = ["MeshNewton"]
