"""Laws that `check_samples` is tried on, and samples of them: two modes, and a chain."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

import jkoflow as jf

APART = 3.0
NORMAL = jf.QuadraticPotential(1.0) + jf.Entropy()


def log_density(x):
    return -0.5 * (x**2).sum(axis=1) + np.logaddexp(APART * x[:, 0], -APART * x[:, 0])


def score(x):
    s = -np.asarray(x)
    s[:, 0] += APART * np.tanh(APART * x[:, 0])
    return s


BIMODAL = jf.KullbackLeibler(log_density, score)


def modes(rng, n, dim, share=0.5):
    x = rng.normal(size=(n, dim))
    x[:, 0] += np.where(rng.random(n) < share, APART, -APART)
    return x


def ar1(rng, n, dim, a):
    e = rng.normal(size=(n + 300, dim)) * (1 - a * a) ** 0.5
    return lfilter([1.0], [1.0, -a], e, axis=0)[300:]
