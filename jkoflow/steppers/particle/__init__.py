"""JKO steps of weighted particles: descent in the positions, and a proof for the pairing."""

from .stepper import ParticleProximal

__all__ = ["ParticleProximal"]
