"""Bad input: each a typed error whose text says what to do, and nothing computed is lost.

Every entry is a call that makes no sense and words that its error must have. Where a table names
no error class, any of jkoflow's own will do; another exception fails the test.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import networks as net
from jkoflow import steppers as st
from jkoflow.dynamics.sgd.record import Recording
from jkoflow.functionals.base import Smooth
from jkoflow.functionals.internal import Internal
from jkoflow.measures import conversion as conv
from jkoflow.measures.profiles import barenblatt
from jkoflow.status import (
    InvalidFunctional,
    InvalidMeasure,
    InvalidProblem,
    JkoflowError,
    MissingExtra,
    NotDefined,
    StepFailed,
    StoreError,
)

nan, inf = math.nan, math.inf
JUNK = {
    "NaN": [nan, 1.0], "infinity": [0.0, inf], "complex": [1j, 2.0], "words": ["a", "b"],
    "numerals": ["1", "2"], "a word": "abc", "nothing": None, "empty": [],
    "ragged": [[1.0, 2.0], [3.0]], "object": object(), "three axes": np.zeros((2, 2, 2)),
    "beyond floats": [1, 10**400],
    "dict": {1: 2}, "set": {1.0, 2.0}, "dates": np.array(["2020-01-01"], "M8[D]"),
    "a number": -3.0, "a function": np.sin,
}  # fmt: skip
SCALARS = {
    "NaN": nan, "minus infinity": -inf, "complex": 1j, "word": "abc", "numeral": "1", "list": [1],
    "array": np.ones(3), "object": object(), "negative": -1, "true": True,
}  # fmt: skip

Q = jf.Quantiles([0.0, 1.0, 2.0])
P1 = jf.Particles([0.0, 1.0, 2.0])
P2 = jf.Particles([[0.0, 1.0], [2.0, 3.0]])
R3 = jf.Radial([0.5, 1.0, 2.0], 3)
G1 = jf.Gaussian(0.0, 1.0)
G2 = jf.Gaussian([0.0, 0.0], np.eye(2))
FLAT = jf.Gaussian([0.0, 0.0], np.diag([1.0, 0.0]))
V = jf.QuadraticPotential(1.0)
H = jf.Entropy()
CLASSES = net.GaussianClasses.std(3, 0.5)
PROBLEM = jf.Problem(V, Q, 0.1, 5)


# What takes an array, and what takes a number: everything that is none is refused.

ARRAYS = {
    "Particles": jf.Particles,
    "Quantiles": jf.Quantiles,
    "Radial": lambda a: jf.Radial(a, 3),
    "Gaussian mean": lambda a: jf.Gaussian(a, np.eye(2)),
    "Gaussian cov": lambda a: jf.Gaussian([0.0, 0.0], a),
    "Particles displaced": P2.displaced,
    "Quantiles displaced": Q.displaced,
    "Gaussian displaced": G2.displaced,
    "ppf levels": Q.ppf,
    "score": G2.score,
    "log density": G2.log_density,
    "first variation": lambda a: V.first_variation(P2, a),
    "first variation of the entropy": lambda a: H.first_variation(G2, a),
    "MMD target": lambda a: jf.MMD(a, net.relu),
    "value at": V.value,
    "gradient at": V.gradient,
    "entropy at": H.value,
    "entropy's gradient at": H.gradient,
    "sum at": (V + H).gradient,
    "Problem functional": lambda a: jf.Problem(a, Q, 0.1, 1),
    "Problem measure": lambda a: jf.Problem(V, a, 0.1, 1),
    "tau": lambda a: jf.Problem(V, Q, a),
    "flow": jf.flow,
    "iterate": lambda a: next(jf.iterate(a)),
    "save": lambda a: jf.flow(PROBLEM, save=a),
    "rows": lambda a: net.EmpiricalData(a, [1.0, 2.0, 3.0]),
    "data risk": lambda a: net.data_risk(net.SimpleUnit(net.relu), a, [1.0, 1.0, 1.0]),
    "classes": lambda a: net.radial_risk(a, net.relu),
    "activation": lambda a: net.SimpleUnit(a),
    "unit": lambda a: jf.sgd(a, CLASSES, np.ones((2, 3)), steps=1, epsilon=0.1),
    "population": lambda a: jf.sgd(
        net.SimpleUnit(net.relu), a, np.ones((2, 3)), steps=1, epsilon=0.1
    ),
    "theta0": lambda a: jf.sgd(net.SimpleUnit(net.relu), CLASSES, a, steps=1, epsilon=0.1),
    "judged functional": lambda a: jf.check_functional(a, Q),
    "judged at": lambda a: jf.check_functional(V, a),
    "judged step of": lambda a: jf.check_step(a, Q, Q, 0.1),
    "judged before": lambda a: jf.check_step(V, a, Q, 0.1),
    "judged after": lambda a: jf.check_step(V, Q, a, 0.1),
    "judged problem": lambda a: jf.check_run(a, jf.flow(PROBLEM)),
    "judged run": lambda a: jf.check_run(PROBLEM, a),
    "gibbs functional": lambda a: jf.solve_gibbs(a, Q),
    "gibbs domain": lambda a: jf.solve_gibbs(V + H, a),
    "sample": lambda a: conv.sample(a, 3),
    "lossy_gaussian": conv.lossy_gaussian,
    "lossy_points": conv.lossy_points,
    "lossy_radial": lambda a: conv.lossy_radial(a, 2),
    "samples": lambda a: conv.quantised_samples(a, 3),
    "wasserstein": lambda a: jf.transport.wasserstein(a, Q),
}


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("where", ARRAYS)
def test_junk_in_place_of_an_array(where, junk):
    if where == "ppf levels" and junk in ("empty", "three axes"):
        return  # no levels, no answers; any shape of levels in [0, 1]
    with pytest.raises(JkoflowError) as caught:
        ARRAYS[where](JUNK[junk])
    assert len(str(caught.value)) > 20


NUMBERS = {
    "Radial dim": lambda a: jf.Radial([0.0, 1.0], a),
    "strength": jf.QuadraticPotential,
    "interaction": jf.QuadraticInteraction,
    "m": jf.PowerEnergy,
    "coefficient": lambda a: jf.PowerEnergy(2.0, a),
    "lam": lambda a: jf.free_energy(V, a, 1.0),
    "beta": lambda a: jf.free_energy(V, 0.0, a),
    "steps": lambda a: jf.Problem(V, Q, 0.1, a),
    "t_end": lambda a: jf.Problem(V, Q, 0.1, t_end=a),
    "max_steps": lambda a: jf.flow(PROBLEM, max_steps=a),
    "every": jf.every,
    "n": lambda a: conv.sample(Q, a),
    "cells": lambda a: conv.to_quantiles(Q, a),
    "cells of a ppf": lambda a: jf.Quantiles.from_ppf(lambda s: s, a),
    "cells of samples": lambda a: conv.quantised_samples([1.0, 2.0, 3.0], a),
    "std": lambda a: jf.Quantiles.normal(0.0, a, 3),
    "radial std": lambda a: jf.Radial.normal(a, 3, 3),
    "radial dim": lambda a: jf.Radial.normal(1.0, a, 3),
    "radial n": lambda a: jf.Radial.normal(1.0, 3, a),
    "barenblatt m": lambda a: barenblatt(a, 1.0, 10),
    "barenblatt radius": lambda a: barenblatt(2.0, a, 10),
    "barenblatt dim": lambda a: barenblatt(2.0, 1.0, 10, dim=a),
    "classes dim": lambda a: net.GaussianClasses(a, 1.0, 2.0),
    "std_plus": lambda a: net.GaussianClasses(3, a, 2.0),
    "active": lambda a: net.GaussianClasses(3, 1.0, 2.0, a),
    "separation": lambda a: net.GaussianClasses.std(3, a),
    "samples": CLASSES.sample,
    "accuracy": lambda a: net.radial_risk(CLASSES, net.relu, accuracy=a),
    "terms": lambda a: net.reduced_relu_risk(net.GaussianClasses(3, 1.0, 2.0, 1), terms=a),
    "fixed point of": lambda a: jf.check_fixed_point(a, G1),
    "fixed point": lambda a: jf.check_fixed_point(V + H, a),
    "fixed point's tolerance": lambda a: jf.check_fixed_point(V + H, G1, tolerance=a),
    "fixed point's nodes": lambda a: jf.check_fixed_point(V + H, G1, nodes=a),
    "fixed point's domain": lambda a: jf.check_fixed_point(V + H, G1, domain=a),
    "gibbs n": lambda a: jf.solve_gibbs(V + H, Q, n=a),
    "gibbs tolerance": lambda a: jf.solve_gibbs(V + H, Q, tolerance=a),
    "gibbs iterations": lambda a: jf.solve_gibbs(V + H, Q, max_iterations=a),
    "newton tolerance": lambda a: st.QuantileNewton(tolerance=a),
    "newton iterations": lambda a: st.QuantileNewton(max_iterations=a),
    "ends": lambda a: st.QuantileNewton(ends=a),
    "particle method": lambda a: st.ParticleProximal(method=a),
    "particle tolerance": lambda a: st.ParticleProximal(tolerance=a),
    "particle iterations": lambda a: st.ParticleProximal(max_iterations=a),
    "pairings": lambda a: st.ParticleProximal(max_pairings=a),
    "bures method": lambda a: st.BuresProximal(method=a),
    "bures tolerance": lambda a: st.BuresProximal(tolerance=a),
    "bures iterations": lambda a: st.BuresProximal(max_iterations=a),
    "cone pairings": lambda a: st.ConvexProgram(max_pairings=a),
    "cone options": lambda a: st.ConvexProgram(options=a),
    "sgd steps": lambda a: run_sgd(steps=a),
    "sgd epsilon": lambda a: run_sgd(epsilon=a),
    "sgd xi": lambda a: run_sgd(xi=a),
    "sgd lam": lambda a: run_sgd(lam=a),
    "sgd beta": lambda a: run_sgd(beta=a),
    "sgd batch": lambda a: run_sgd(batch=a),
    "sgd threads": lambda a: run_sgd(threads=a),
    "sgd noise": lambda a: run_sgd(noise=a),
    "sgd dtype": lambda a: run_sgd(dtype=a),
    "observers": lambda a: jf.flow(PROBLEM, observers=[a]),
    "events": lambda a: jf.flow(PROBLEM, events=[a]),
    "stepper": lambda a: jf.flow(PROBLEM, a),
    "resume": lambda a: next(jf.iterate(PROBLEM, resume=a)),
    "gradient of V": lambda a: jf.Potential(np.sin, gradient=a),
    "hessian of V": lambda a: jf.Potential(np.sin, hessian=a),
    "gradient of W": lambda a: jf.Interaction(np.sin, gradient=a),
    "gradient of log π": lambda a: jf.KullbackLeibler(np.sin, gradient=a),
    "gradient of features": lambda a: jf.Risk(np.sin, [1.0], gradient=a),
    "gradient of F": lambda a: jf.functional(np.sin, gradient=a),
    "autodiff": lambda a: jf.functional(np.sin, autodiff=a),
    "V": jf.Potential,
    "W": jf.Interaction,
    "log π": jf.KullbackLeibler,
    "kernel": lambda a: jf.MMD([[0.0]], a),
    "features": lambda a: jf.Risk(a, [1.0]),
    "F": jf.functional,
    "ppf": lambda a: jf.Quantiles.from_ppf(a, 3),
    "ppf's answer": lambda a: jf.Quantiles.from_ppf(lambda s: a, 3),
    "grading": lambda a: jf.Quantiles.from_ppf(lambda s: s, 3, a),
    "store": lambda a: jf.Directory(a).read(),
    "load": jf.load,
    "save": lambda a: jf.save(a, "nowhere"),
    "integrate": P2.integrate,
}
NEGATIVE_IS_FINE = {"strength", "interaction"}


def run_sgd(**change):
    options = {"steps": 2, "epsilon": 0.1, "rng": 0, **change}
    return jf.sgd(net.SimpleUnit(net.relu), CLASSES, np.ones((2, 3)), **options)


@pytest.mark.parametrize("junk", SCALARS)
@pytest.mark.parametrize("where", NUMBERS)
def test_junk_in_place_of_a_number_a_word_or_a_function(where, junk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # "abc" and "1" are paths, of nothing
    if junk == "negative" and where in NEGATIVE_IS_FINE:
        return
    with pytest.raises(JkoflowError) as caught:
        NUMBERS[where](SCALARS[junk])
    assert len(str(caught.value)) > 20
    assert not any(tmp_path.iterdir())


# The words that say what to do.

SAYS = {
    "negative weights": (lambda: jf.Particles([0.0, 1.0], [2.0, -1.0]), InvalidMeasure, "negative"),
    "unsummed weights": (lambda: jf.Particles([0.0, 1.0], [0.5, 0.6]), InvalidMeasure, "divide"),
    "unsorted edges": (lambda: jf.Quantiles([0.0, 2.0, 1.0]), InvalidMeasure, "sort them"),
    "empty cells": (lambda: jf.Quantiles([0.0, 1.0, 2.0], [1.0, 0.0]), InvalidMeasure, "drop"),
    "negative radius": (lambda: jf.Radial([-1.0, 1.0], 2), InvalidMeasure, "negative"),
    "asymmetric": (lambda: jf.Gaussian([0, 0], [[1, 2], [0, 1]]), InvalidMeasure, "cov.T"),
    "indefinite": (lambda: jf.Gaussian([0, 0], [[1, 2], [2, 1]]), InvalidMeasure, "semidefinite"),
    "crossing": (lambda: Q.displaced([[3.0], [0.0], [0.0]]), InvalidMeasure, "smaller"),
    "levels": (lambda: Q.ppf([0.5, 1.5]), InvalidMeasure, r"\[0, 1\]"),
    "NaN asked": (lambda: Q.log_density([nan]), InvalidMeasure, "NaN"),
    "an array": (lambda: V.value(np.ones((3, 2))), InvalidMeasure, r"jkoflow\.Particles\(x\)"),
    "tau 0": (lambda: jf.Problem(V, Q, 0.0, 3), InvalidProblem, "positive"),
    "tau -1": (lambda: jf.Problem(V, Q, [0.1, -1.0]), InvalidProblem, "positive"),
    "tau too long": (lambda: jf.Problem(V, Q, [0.1, 0.1], 3), InvalidProblem, "2 entries"),
    "no steps": (lambda: jf.Problem(V, Q, 0.1), InvalidProblem, "either steps or t_end"),
    "both": (lambda: jf.Problem(V, Q, 0.1, 3, 0.3), InvalidProblem, "either steps or t_end"),
    "walls inside": (lambda: jf.Problem(V, Q, 0.1, 3, walls=(0.0, 0.1)), InvalidProblem, "between"),
    "walls of points": (lambda: jf.Problem(V, P1, 0.1, 3, walls=(-9, 9)), InvalidProblem, "Grid"),
    "no walls": (lambda: jf.Problem(V, Q, 0.1, 3, walls=(9, -9)), InvalidProblem, "two numbers"),
    "NaN walls": (lambda: jf.Problem(V, Q, 0.1, 3, walls=(np.nan, 9)), InvalidProblem, "two num"),
    "one wall": (lambda: jf.Problem(V, Q, 0.1, 3, walls=9.0), InvalidProblem, "two numbers"),
    "wall of text": (lambda: jf.Problem(V, Q, 0.1, 3, walls="ab"), InvalidProblem, "walls"),
    "half a step": (lambda: jf.Problem(V, Q, 0.1, 2.5), InvalidProblem, "integer"),
    "endless": (lambda: jf.Problem(V, Q, 1e-300, t_end=1.0), InvalidProblem, "larger tau"),
    "endless steps": (lambda: jf.Problem(V, Q, 0.1, 10**15), InvalidProblem, "too many"),
    "tau beyond floats": (lambda: jf.Problem(V, P1, 10**400, 1), InvalidProblem, "tau"),
    "scale beyond floats": (lambda: 10**400 * V, InvalidFunctional, "finite"),
    "beta beyond floats": (lambda: run_sgd(beta=10**400), InvalidProblem, "beta"),
    "domain beyond floats": (lambda: jf.check_fixed_point(V + H, G1, domain=(0, 10**400)),
                             InvalidProblem, "domain"),
    "beta 0": (lambda: jf.free_energy(V, 0.0, 0.0), InvalidFunctional, "beta"),
    "lam -1": (lambda: jf.free_energy(V, -1.0, 1.0), InvalidFunctional, "lam"),
    "function as F": (lambda: jf.Problem(np.sin, Q, 0.1, 1), InvalidProblem, "functional"),
    "no measure": (lambda: jf.Problem(V, np.ones((3, 1)), 0.1, 1), InvalidProblem, "Particles"),
    "class": (lambda: jf.flow(PROBLEM, st.QuantileNewton), InvalidProblem, r"QuantileNewton\(\)"),
    "save word": (lambda: jf.flow(PROBLEM, save="all"), InvalidProblem, r"every\(n\)"),
    "step -1": (lambda: jf.flow(PROBLEM)["one"], InvalidProblem, "number"),
    "scaled by inf": (lambda: inf * V, InvalidFunctional, "finite"),
    "divided by 0": (lambda: V / 0, InvalidFunctional, "divided"),
    "m 1": (lambda: jf.PowerEnergy(1.0), InvalidFunctional, r"Entropy\(\)"),
    "gibbs without entropy": (lambda: jf.solve_gibbs(V, Q), NotDefined, r"add Entropy\(\)"),
    "gibbs power": (lambda: jf.solve_gibbs(H + jf.PowerEnergy(2.0), Q), NotDefined, "Entropy"),
    "gibbs on points": (lambda: jf.solve_gibbs(V + H, P1), NotDefined, "Radial and Grid"),
    "gibbs unconfined": (lambda: jf.solve_gibbs(H - V, Q), InvalidProblem, "confining"),
    "gibbs of another space": (
        lambda: jf.solve_gibbs(
            jf.free_energy(net.radial_risk(CLASSES, net.relu), 1, 1), jf.Radial([0, 1], 4)
        ), NotDefined, r"R\^3",
    ),
    "gibbs NaN": (
        lambda: jf.solve_gibbs(jf.Risk(lambda t: t.T * nan, [1.0]) + H, (-1, 1)),
        InvalidFunctional, "NaN",
    ),
    "quantiles of the plane": (lambda: conv.to_quantiles(P2, 3), NotDefined, "sample"),
    "radii as points": (lambda: conv.lossy_points(R3), NotDefined, "use sample"),
    "too few samples": (lambda: conv.quantised_samples([1.0], 3), InvalidMeasure, "fewer cells"),
    "anisotropic": (
        lambda: net.radial_risk(net.GaussianClasses(3, 1.0, 2.0, 1), net.relu),
        NotDefined, "reduced_relu_risk",
    ),
    "one pass": (
        lambda: jf.sgd(net.SimpleUnit(net.relu), net.EmpiricalData([[1.0]], [1.0], replace=False),
                       np.ones((2, 1)), steps=2, epsilon=0.1),
        InvalidProblem, "fewer steps",
    ),
    "no W2": (lambda: jf.transport.wasserstein(R3, jf.Particles(np.eye(3))), NotDefined, "sample"),
    "other spaces": (lambda: jf.transport.wasserstein(P1, P2), NotDefined, r"R\^1 and R\^2"),
    "array of functionals": (lambda: jf.Problem(V * 1.0, [Q], 0.1, 1), InvalidProblem, "list"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAYS)
def test_the_error_says_what_to_do(case):
    call, kind, words = SAYS[case]
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("other", [3.0, "a", None, [V], np.ones(2)])
def test_python_s_own_error_for_what_cannot_be_added(other):
    for call in (lambda: V + other, lambda: other + V, lambda: V * (other, 1), lambda: V / [other]):
        with pytest.raises(TypeError):
            call()


# Functionals and measures that do not fit.

MISFITS = {
    "centre": (jf.QuadraticPotential(1.0, [1.0, 0.0]), [P1, Q, G1], "center has shape"),
    "centre of a radial law": (jf.QuadraticPotential(1.0, [1.0, 0.0, 0.0]), [R3], "origin only"),
    "target": (jf.MMD([[0.0, 0.0]], net.relu), [P1, Q, G1], "target lives in R^2"),
    "radial target": (jf.MMD([[0.0]], net.relu), [R3], "radii"),
    "direction": (jf.Interaction(lambda z: z[:, 0] ** 2 - z[:, -1] ** 4), [R3], "direction"),
    "radial risk": (net.radial_risk(CLASSES, net.relu), [P2, G2], "use Radial"),
    "other space": (net.radial_risk(CLASSES, net.relu), [jf.Radial([0.5, 1.0], 4)], "R^3"),
    "reduced risk": (net.reduced_relu_risk(net.GaussianClasses(4, 1.5, 0.5, 2)), [P1, P2], "(a, b"),
    "parameters": (
        net.data_risk(net.SimpleUnit(net.tanh), np.ones((2, 3)), [1.0, 1.0]), [P1, P2, Q],
        "3 parameters",
    ),
    "columns": (jf.Potential(lambda x: x[:, 3]), [P1, P2, Q], "IndexError"),
    "entropy": (H, [P1, P2], "needs a density"),
    "power": (jf.PowerEnergy(2.0), [P1, P2], "needs a density"),
    "singular": (H, [FLAT], "singular"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_functionals_on_measures_that_do_not_fit(case):
    F, measures, words = MISFITS[case]
    for mu in measures:
        for ask in (F.value, F.gradient, lambda m: F.first_variation(m, m.points)):
            with pytest.raises((InvalidFunctional, NotDefined), match=re.escape(words)):
                ask(mu)
        with pytest.raises((InvalidFunctional, NotDefined)):
            jf.flow(jf.Problem(F, mu, 0.1, 1))


MOVERS = [st.QuantileNewton(), st.ParticleProximal(), st.BuresProximal(), st.ConvexProgram()]
UNSUITED = [
    (stepper, mu)
    for stepper, kinds in zip(
        MOVERS,
        [("quantiles", "radial"), ("particles",), ("gaussian",), ("quantiles", "particles")],
        strict=True,
    )
    for mu in (P2, Q, R3, G2)
    if mu.kind not in kinds
]


@pytest.mark.parametrize(("stepper", "mu"), UNSUITED, ids=lambda o: type(o).__name__)
def test_steppers_say_what_they_move(stepper, mu):
    with pytest.raises(NotDefined, match=f"{type(stepper).__name__} moves .* not") as caught:
        jf.flow(jf.Problem(V, mu, 0.1, 1), stepper)
    assert len(caught.value.trajectory) == 0


@pytest.mark.parametrize(
    "stepper", [None, st.ParticleProximal(), st.ParticleProximal(method="newton"),
                st.ConvexProgram(), st.Exact()], ids=repr
)  # fmt: skip
@pytest.mark.parametrize("F", [H, jf.PowerEnergy(2.0), V + H / 3.0, jf.KullbackLeibler(np.sin)])
def test_an_internal_energy_on_particles(F, stepper):
    with pytest.raises(NotDefined, match="use Quantiles"):
        jf.flow(jf.Problem(F, P1, 0.1, 1), stepper)
    output = stepper or st.ParticleProximal()
    with pytest.raises(NotDefined, match="Quantiles"):
        output.step(F, P1, 0.1, {}, np.random.default_rng(0))


# Functionals that misbehave: through the value at once, through a derivative in the first step.


def squares(x):
    return (x**2).sum(axis=1)


def doubled(x, *more):
    x *= 2.0
    return x


def spoiled(x, *more):
    x *= 2.0
    return squares(x)


class Own(Smooth):
    """A subclass made of the functions it is given."""

    def __init__(self, value=None, gradient=None):
        self._value = value or (lambda x, w: float(w @ squares(x)))
        self._gradient = gradient or (lambda x, w: 2.0 * x)

    def spec(self):
        return {"name": "Own"}

    def value_at_points(self, x, w):
        return self._value(x, w)

    def first_variation_at_points(self, x, w, at):
        return squares(at)

    def gradient_at_points(self, x, w):
        return self._gradient(x, w)


def chance():
    rng = np.random.default_rng(0)
    return lambda *arguments: rng.normal()


VALUES = {
    "raises": (lambda x, w: 1 / 0, "ZeroDivisionError"),
    "NaN": (lambda x, w: nan, "NaN|nan"),
    "infinity": (lambda x, w: inf, "finite energy"),
    "vector": (lambda x, w: x[:, 0], "shape"),
    "one in a list": (lambda x, w: np.ones(1), "shape"),
    "complex": (lambda x, w: 1j, "real"),
    "None": (lambda x, w: None, "returned None"),
    "a word": (lambda x, w: "abc", "number"),
    "in place": (lambda x, w: float(w @ spoiled(x)), r"x\.copy\(\)"),
    "chance": (chance(), "chance|alone"),
}
ANSWERS = {
    "raises": (lambda x: 1 / 0, "ZeroDivisionError"),
    "NaN": (lambda x: nan * x[:, 0], "NaN"),
    "scalar": (lambda x: 1.0, "shape"),
    "wrong shape": (lambda x: x[:1, 0], "shape"),
    "complex": (lambda x: 1j * x[:, 0], "complex"),
    "None": (lambda x: None, "returned None"),
    "words": (lambda x: np.full(len(x), "a"), "numbers"),
    "in place": (spoiled, r"x\.copy\(\)"),
}
MAKERS = {
    "functional": lambda f: jf.functional(f),
    "subclass": lambda f: Own(value=f),
}
OF_POINTS = {
    "Potential": jf.Potential,
    "KullbackLeibler": lambda f: jf.KullbackLeibler(f),
    "Risk": lambda f: jf.Risk(lambda t: as_row(f(t)), [1.0]),
}


def as_row(answer):
    return answer[None] if isinstance(answer, np.ndarray) else answer


@pytest.mark.parametrize("case", VALUES)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("mu", [P2, Q, R3, G2], ids=lambda mu: mu.kind)
def test_values_that_are_none(maker, case, mu):
    function, words = VALUES[case]
    with pytest.raises(InvalidFunctional, match=words) as caught:
        jf.flow(jf.Problem(MAKERS[maker](function), mu, 0.1, 2))
    if case == "raises":
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("maker", OF_POINTS)
@pytest.mark.parametrize("mu", [P2, Q, R3, G2], ids=lambda mu: mu.kind)
def test_functions_of_points_that_are_none(maker, case, mu):
    if maker == "KullbackLeibler" and mu.kind == "particles":
        return  # not defined there
    function, words = ANSWERS[case]
    with pytest.raises(InvalidFunctional, match=words):
        jf.flow(jf.Problem(OF_POINTS[maker](function), mu, 0.1, 2))


GRADIENTS = {
    "raises": (lambda x, *w: 1 / 0, "ZeroDivisionError"),
    "NaN": (lambda x, *w: nan * x, "NaN|finite"),
    "wrong shape": (lambda x, *w: x[:, 0], "shape"),
    "complex": (lambda x, *w: 1j * x, "complex"),
    "None": (lambda x, *w: None, "returned None"),
    "in place": (doubled, r"x\.copy\(\)"),
}
WITH_GRADIENT = {
    "Potential": lambda g: jf.Potential(squares, gradient=g),
    "Interaction": lambda g: jf.Interaction(squares, gradient=g),
    "Risk": lambda g: jf.Risk(lambda t: squares(t)[None], [1.0],
                              gradient=lambda t: as_row(g(t))),
    "functional": lambda g: jf.functional(lambda x, w: w @ squares(x), gradient=g),
    "subclass": lambda g: Own(gradient=g),
}  # fmt: skip


@pytest.mark.parametrize("case", GRADIENTS)
@pytest.mark.parametrize("maker", WITH_GRADIENT)
@pytest.mark.parametrize("mu", [P2, Q, R3, G2], ids=lambda mu: mu.kind)
def test_gradients_that_are_none(maker, case, mu):
    gradient, words = GRADIENTS[case]
    before = {name: array.copy() for name, array in mu.to_arrays().items()}
    with pytest.raises((InvalidFunctional, StepFailed), match=words) as caught:
        jf.flow(jf.Problem(WITH_GRADIENT[maker](gradient), mu, 0.1, 2))
    assert len(caught.value.trajectory) == 0 and caught.value.trajectory.final is mu
    assert all(np.array_equal(before[name], array) for name, array in mu.to_arrays().items())


def test_an_internal_energy_of_ones_own_that_raises():
    class Broken(Internal):
        def energy_per_mass(self, log_density):
            if (log_density < -0.8).any():
                raise RuntimeError("too thin")
            return log_density, 1.0, 0.0

        def value_on_gaussian(self, mu):
            return 0.0

        def spec(self):
            return {"name": "Broken"}

    with pytest.raises((StepFailed, InvalidFunctional), match="RuntimeError: too thin") as caught:
        jf.flow(jf.Problem(Broken(), Q, 0.01, 50))
    assert len(caught.value.trajectory) > 0


# A run that fails at step k keeps steps 0 … k−1, in memory and on disk.


def fails_below(energy, how):
    def value(x, w):
        now = float(w @ squares(x))
        return now if now > energy else how()

    return jf.functional(value, gradient=lambda x, w: 2.0 * x)


def boom():
    raise RuntimeError("boom")


@pytest.mark.parametrize("how", [boom, lambda: nan, lambda: None, lambda: 1j, lambda: "a"])
@pytest.mark.parametrize("mu", [P2, Q, G2], ids=lambda mu: mu.kind)
def test_nothing_computed_is_lost(how, mu, tmp_path):
    right = jf.Problem(fails_below(0.0, boom), mu, 0.1, 6)
    reached = jf.flow(right)
    level = 0.5 * (reached.energies[3] + reached.energies[4])
    problem = jf.Problem(fails_below(level, how), mu, 0.1, 6)
    with pytest.raises(JkoflowError) as caught:
        jf.flow(problem, store=tmp_path / "run")
    kept = caught.value.trajectory
    assert len(kept) == 3
    np.testing.assert_array_equal(kept.energies, reached.energies[:4])
    loaded = jf.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.energies, kept.energies)
    np.testing.assert_array_equal(loaded.final.points, reached.measures[3].points)


# Stores.


@pytest.fixture
def stored(tmp_path):
    jf.flow(PROBLEM, store=tmp_path / "run")
    return tmp_path / "run"


OTHERS = {
    "functional": jf.Problem(2.0 * V, Q, 0.1, 5),
    "initial measure": jf.Problem(V, jf.Quantiles([0.0, 1.0, 3.0]), 0.1, 5),
    "step sizes": jf.Problem(V, Q, 0.2, 5),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_store_of_another_problem(stored, what):
    before = {path.name: path.read_bytes() for path in stored.iterdir()}
    with pytest.raises(StoreError, match=f"{what}.*choose another folder"):
        jf.flow(OTHERS[what], store=stored)
    assert {path.name: path.read_bytes() for path in stored.iterdir()} == before


def test_a_trajectory_does_not_go_where_a_run_is(stored):
    with pytest.raises(StoreError, match="choose a new folder"):
        jf.save(jf.flow(PROBLEM), stored)


@pytest.mark.parametrize("damage", ["cut", "emptied", "noise", "folder", "gone"])
@pytest.mark.parametrize("name", ["run.json", "initial.npz", "steps.jsonl", "segment"])
def test_damaged_stores(stored, name, damage):
    path = next(path for path in sorted(stored.iterdir()) if path.name.startswith(name))
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        half = whole[: len(whole) // 2]
        path.write_bytes({"cut": half, "emptied": b"", "noise": b"\xff{"}[damage])
    with pytest.raises(StoreError):
        jf.load(stored)
    with pytest.raises(StoreError):
        jf.flow(PROBLEM, store=stored)


BAD_PATHS = {
    "a file": lambda folder: folder / "file",
    "under a file": lambda folder: folder / "file" / "run",
    "full of other things": lambda folder: folder,
    "too long": lambda folder: folder / ("x" * 5000),
    "a null character": lambda folder: str(folder / "a") + "\0b",
    "empty": lambda folder: "",
    "bytes": lambda folder: bytes(folder / "b"),
}


@pytest.mark.parametrize("case", BAD_PATHS)
def test_paths_that_hold_no_store(case, tmp_path):
    (tmp_path / "file").write_text("not a run")
    path = BAD_PATHS[case](tmp_path)
    for call in (lambda: jf.flow(PROBLEM, store=path), lambda: jf.load(path)):
        with pytest.raises(StoreError):
            call()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_is_wrong_is_said_before_the_store_is_touched(tmp_path):
    for options in ({"max_steps": -1}, {"observers": [3]}, {"events": 3}, {"save": "all"}):
        with pytest.raises(InvalidProblem):
            jf.flow(PROBLEM, store=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


# Steppers of one's own.


class Answers(st.Stepper):
    """A stepper that moves nothing and answers as it is told."""

    def __init__(self, **fields):
        self.fields = fields

    def step(self, F, mu, tau, state, rng):
        good = dict(measure=mu, state={}, witness=None, stats={}, status=jf.Status.CONVERGED,
                    distance_squared=0.0)  # fmt: skip
        return st.StepOutput(**{**good, **self.fields})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("measure", None), ("measure", np.ones(3)), ("state", None), ("witness", "monotone"),
        ("stats", None), ("status", "fine"), ("status", True), ("distance_squared", "0"),
        ("distance_squared", 1j), ("distance_squared", None),
    ],
)  # fmt: skip
def test_steppers_that_answer_badly(field, value, tmp_path):
    with pytest.raises(InvalidProblem, match=f"StepOutput.* its {field} is not one"):
        jf.flow(PROBLEM, Answers(**{field: value}), store=tmp_path / "run")
    assert len(jf.load(tmp_path / "run")) == 0


def test_steppers_that_raise():
    class NoStart(Answers):
        def init(self, F, mu, tau, rng):
            raise RuntimeError("cold")

    class NoStep(Answers):
        def step(self, F, mu, tau, state, rng):
            raise RuntimeError("slippery")

    for stepper, words in ((NoStart(), "init raised RuntimeError: cold"), (NoStep(), "step 1")):
        with pytest.raises(StepFailed, match=words) as caught:
            jf.flow(PROBLEM, stepper)
        assert len(caught.value.trajectory) == 0


# SGD: what is foreign may fail late, and the run up to there is in the error.


class Late:
    """A population that breaks when asked for the third time."""

    dim = 3

    def __init__(self, how):
        self.how, self.asked = how, 0

    def sample(self, n, rng):
        self.asked += 1
        if self.asked == 3:
            return self.how(n)
        return np.ones((n, 3)), np.ones(n)


@pytest.mark.parametrize(
    "how",
    [
        lambda n: 1 / 0, lambda n: None, lambda n: np.ones((n, 3)), lambda n: (1, 2, 3),
        lambda n: (np.full((n, 3), nan), np.ones(n)), lambda n: (np.ones((n, 3)), ["a"] * n),
        lambda n: ([[1], [1, 2]], np.ones(n)), lambda n: (np.ones((n, 2)), np.ones(n)),
        lambda n: (np.ones((n, 3)) * 1j, np.ones(n)),
    ],
)  # fmt: skip
def test_a_population_that_breaks_late(how):
    with pytest.raises(InvalidProblem, match=r"sample") as caught:
        jf.sgd(net.SimpleUnit(net.relu), Late(how), np.ones((2, 3)), steps=100_000, epsilon=1e-9,
               rng=0, record=[0.0])  # fmt: skip
    run = caught.value.trajectory
    assert 0 < run.steps < 100_000 and run.status is jf.Status.INTERRUPTED
    assert run.times.tolist() == [0.0] and np.isfinite(run.theta).all()


class Unit(net.Unit):
    """A unit made of the functions it is given."""

    def __init__(self, value=None, vjp=None):
        self._value = value or (lambda theta, x: np.zeros((len(x), len(theta))))
        self._vjp = vjp or (lambda theta, x, c: np.zeros_like(theta))

    def value(self, theta, x):
        return self._value(theta, x)

    def vjp(self, theta, x, c):
        return self._vjp(theta, x, c)


UNITS = {
    "raises": (lambda *a: 1 / 0, "ZeroDivisionError"),
    "None": (lambda *a: None, "shape|returned None"),
    "wrong shape": (lambda *a: np.ones(7), "shape"),
    "complex": (lambda theta, x, *c: 1j * theta, "real|shape|complex"),
    "in place": (lambda theta, *a: doubled(theta), r"x\.copy\(\)"),
}


@pytest.mark.parametrize("case", UNITS)
@pytest.mark.parametrize("method", ["value", "vjp"])
@pytest.mark.parametrize("batch", [1, 3])
def test_units_that_answer_badly(case, method, batch):
    function, words = UNITS[case]
    unit, theta = Unit(**{method: function}), np.ones((2, 3))
    with pytest.raises(InvalidProblem, match=words) as caught:
        jf.sgd(unit, CLASSES, theta, steps=4, epsilon=0.1, batch=batch, rng=0)
    assert (caught.value.trajectory.theta == theta).all()
    R = net.data_risk(unit, np.ones((4, 3)), np.ones(4))
    with pytest.raises(InvalidFunctional, match=words):
        R.gradient(jf.Particles(theta))


@pytest.mark.parametrize("statistic", [lambda theta: 1 / 0, lambda theta: doubled(theta), H])
def test_statistics_that_fail(statistic):
    with pytest.raises((InvalidProblem, NotDefined)) as caught:
        run_sgd(steps=4, record=Recording([0.2], {"s": statistic}))
    assert caught.value.trajectory.steps == 2


# Missing extras, files that are no problem.


def test_missing_extras_are_named(monkeypatch, stored):
    for module in ("sklearn", "sklearn.datasets", "matplotlib", "jax", "torch"):
        monkeypatch.setitem(sys.modules, module, None)
    from jkoflow.report.run_page import write_run_page

    calls = {
        "images": net.images.digits,
        "plots": lambda: write_run_page(stored / "page.html", stored),
        "jax": lambda: jf.functional(autodiff="jax")(lambda x, w: 0.0),
        "torch": lambda: jf.functional(autodiff="torch")(lambda x, w: 0.0),
    }
    for extra, call in calls.items():
        with pytest.raises(MissingExtra, match=rf"pip install 'jkoflow\[{extra}\]'"):
            call()


FILES = {
    "syntax": ("x = (", "SyntaxError"),
    "nothing": ("x = 1", "must define `problem`"),
    "a number": ("problem = 3", "defines a int"),
    "leaves": ("import sys; sys.exit(0)", "SystemExit"),
    "raises": ("1 / 0", "ZeroDivisionError"),
    "no text": (b"\xff\xfe\x00", "failed"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_define_no_problem(case, tmp_path, capsys):
    from jkoflow.cli import main

    text, words = FILES[case]
    file = tmp_path / "problem.py"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for arguments in (["run", str(file), "--store", str(tmp_path / "run")],
                      ["check", str(file), str(tmp_path)]):  # fmt: skip
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 3
        assert words in capsys.readouterr().err
    assert [path.name for path in Path(tmp_path).iterdir()] == ["problem.py"]
