"""Stochastic gradient descent on a two-layer network, one pass or noisy, on the flow's clock."""

from .run import SGDRun, sgd

__all__ = ["SGDRun", "sgd"]
