"""What functionals of two-layer networks are made of: activations, units, populations, risks."""

from . import images
from .activations import (
    Activation,
    PiecewiseLinear,
    SmoothActivation,
    non_monotone,
    relu,
    smooth_truncated_relu,
    softplus,
    tanh,
    truncated_relu,
)
from .data_risk import data_risk
from .multilayer import MultilayerNetwork
from .multilayer_layers import Convolution, Dense
from .populations import EmpiricalData, GaussianClasses, Population
from .reduced import radial_risk
from .reduced_relu import reduced_relu_risk
from .units import ScaledUnit, SimpleUnit, Unit

__all__ = [
    "Activation",
    "Convolution",
    "Dense",
    "EmpiricalData",
    "GaussianClasses",
    "MultilayerNetwork",
    "PiecewiseLinear",
    "Population",
    "ScaledUnit",
    "SimpleUnit",
    "SmoothActivation",
    "Unit",
    "data_risk",
    "images",
    "non_monotone",
    "radial_risk",
    "reduced_relu_risk",
    "relu",
    "smooth_truncated_relu",
    "softplus",
    "tanh",
    "truncated_relu",
]
