"""What functionals of two-layer networks are made of: activations, units, populations, risks."""

from . import images
from .activations import (
    Activation,
    PiecewiseLinear,
    SmoothActivation,
    non_monotone,
    relu,
    sigmoid,
    smooth_truncated_relu,
    softplus,
    tanh,
    truncated_relu,
)
from .data_risk import data_risk
from .deconvolution import deconvolution_risk, fit_on_grid, spike_coefficients
from .manifolds import Manifold, Product, Sphere, Torus, uniform_on_sphere
from .multilayer import MultilayerNetwork
from .multilayer_layers import Convolution, Dense
from .populations import EmpiricalData, GaussianClasses, Population
from .reduced import radial_risk
from .reduced_relu import reduced_relu_risk
from .relu_population import ReluPopulation
from .sphere import SphereUnit, SpinRisk
from .spin import ThreeSpin
from .teacher import TeacherRisk
from .units import ScaledUnit, SimpleUnit, Unit

__all__ = [
    "Activation",
    "Convolution",
    "Dense",
    "EmpiricalData",
    "GaussianClasses",
    "Manifold",
    "MultilayerNetwork",
    "PiecewiseLinear",
    "Population",
    "Product",
    "ReluPopulation",
    "ScaledUnit",
    "SimpleUnit",
    "SmoothActivation",
    "Sphere",
    "SphereUnit",
    "SpinRisk",
    "TeacherRisk",
    "ThreeSpin",
    "Torus",
    "Unit",
    "data_risk",
    "deconvolution_risk",
    "fit_on_grid",
    "images",
    "non_monotone",
    "radial_risk",
    "reduced_relu_risk",
    "relu",
    "sigmoid",
    "smooth_truncated_relu",
    "softplus",
    "spike_coefficients",
    "tanh",
    "truncated_relu",
    "uniform_on_sphere",
]
