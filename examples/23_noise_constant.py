"""Which law does noisy SGD sample? With noise √(4s/β) it is exp(−βΨ); √(2s/β) gives exp(−2βΨ).

Langevin particles in a double well, on SGD's clock, once for each of the printed constants. Each
is held against the Gibbs laws at β, 2β and 4β by quadrature: a constant that is wrong by a factor
is a temperature that is wrong by that factor.
"""

import numpy as np

import jkoflow as jf
from jkoflow.dynamics.langevin import langevin

BETA, S = 3.0, 2e-3
V = jf.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2, lambda x: 4 * x * (x**2 - 1))
F = V + jf.Entropy() / BETA

grid = np.linspace(-3, 3, 6001)
exact = {}
for multiple in (1, 2, 4):
    density = np.exp(-multiple * BETA * (grid**2 - 1) ** 2)
    exact[multiple] = density @ grid**2 / density.sum()

start = np.random.default_rng(0).choice([-1.0, 1.0], size=(10_000, 1))
nearest = {}
for noise in ("default", "literature", "slides"):
    x = langevin(F, start, steps=750, epsilon=S, rng=1, noise=noise).theta[:, 0]
    nearest[noise] = min(exact, key=lambda k, x=x: abs(exact[k] - np.mean(x**2)))
    error = np.std(x**2) / np.sqrt(len(x))
    print(f"{noise:10} ⟨x²⟩ = {np.mean(x**2):.4f} ± {error:.4f}: exp(−{nearest[noise]}βΨ) "
          f"has {exact[nearest[noise]]:.4f}")  # fmt: skip

assert nearest == {"default": 1.0, "literature": 2.0, "slides": 4.0}
