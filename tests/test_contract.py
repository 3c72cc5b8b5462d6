"""The public names that other people's programs call: signatures, attributes, and use as written.

What may be added is optional: a parameter with a default, behind those that are promised.
"""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest

import jkoflow as jf

NEEDED = inspect.Parameter.empty
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD = inspect.Parameter.KEYWORD_ONLY

# name: the promised parameters, those after "*" by keyword only; NEEDED means no default
SIGNATURES = {
    "Particles": "x weights=None",
    "Quantiles": "edges mass=None",
    "Quantiles.from_ppf": "ppf n grading='uniform'",
    "Quantiles.normal": "mean std n",
    "Radial": "edges dim mass=None",
    "Radial.normal": "std dim n",
    "Gaussian": "mean cov",
    "Potential": "V gradient=None hessian=None convexity=None",
    "QuadraticPotential": "strength center=None",
    "Interaction": "W gradient=None hessian=None convexity=None",
    "QuadraticInteraction": "strength",
    "Entropy": "",
    "PowerEnergy": "m coefficient=1.0",
    "KullbackLeibler": "log_density gradient=None",
    "MMD": "target kernel",
    "Risk": "features targets weights=None",
    "free_energy": "risk lam beta",
    "functional": "* gradient=None convexity=None autodiff=None",
    "Problem": "functional initial tau steps=None t_end=None * walls=None",
    "flow": "problem stepper=None * store=None save=every(1) observers=() events=() progress=False "
    "rng=None max_steps=None throw=True",
    "iterate": "problem stepper * rng=None resume=None",
    "steppers.Stepper.init": "self F mu tau rng",
    "steppers.Stepper.step": "self F mu tau state rng",
    "steppers.StepOutput": "measure state witness stats status",
    "Directory": "path",
    "load": "path",
    "networks.SimpleUnit": "activation",
    "networks.ScaledUnit": "activation",
    "networks.GaussianClasses": "dim std_plus std_minus active=None",
    "networks.GaussianClasses.std": "dim delta",
    "networks.GaussianClasses.var": "dim delta",
    "networks.GaussianClasses.sample": "self n rng",
    "networks.radial_risk": "classes activation",
    "networks.reduced_relu_risk": "classes",
    "sgd": "unit population theta0 * steps epsilon xi=1.0 lam=0.0 beta=inf batch=1 rng record",
    "solve_gibbs": "F domain_or_initial",
    "check_functional": "F mu * rng",
    "check_step": "F before after tau * witness=None walls=None",
    "check_run": "problem run",
    "check_fixed_point": "F mu",
    "Report.to_html": "self path",
    "Finding": "claim verdict measured bound assumptions where",
}
DEFAULTS = {"every": jf.every, "inf": math.inf}


def named(path):
    found = jf
    for part in path.split("."):
        found = getattr(found, part)
    return found


def promised(text):
    """(name, kind, default) of each parameter in the table's shorthand."""
    kind = POSITIONAL
    for word in text.split():
        if word == "*":
            kind = KEYWORD
            continue
        name, _, default = word.partition("=")
        yield name, kind, eval(default, dict(DEFAULTS)) if default else NEEDED


@pytest.mark.parametrize("path", SIGNATURES)
def test_signature(path):
    parameters = list(inspect.signature(named(path)).parameters.values())
    wanted = list(promised(SIGNATURES[path]))
    by_name = {p.name: p for p in parameters}
    for name, kind, default in wanted:
        parameter = by_name[name]
        assert parameter.kind is kind, name
        # what is promised without a default may have one: it can still be called as written
        assert default is NEEDED or parameter.default == default, name
    first = [p.name for p in parameters if p.kind is POSITIONAL]
    order = [name for name, kind, _ in wanted if kind is POSITIONAL]
    optional = [p for p in parameters if p.name not in {name for name, _, _ in wanted}]
    assert all(p.default is not NEEDED for p in optional)
    if path != "functional":  # a decorator, with and without brackets: the function comes first
        assert first[: len(order)] == order


def test_every_name_is_there_and_listed():
    for name in jf.__all__:
        assert getattr(jf, name) is not None and name in dir(jf)
    for path in SIGNATURES:
        assert path.partition(".")[0] in jf.__all__


MEASURES = {
    "particles": lambda: jf.Particles(x=[[0.0, 1.0], [2.0, 3.0]], weights=[0.25, 0.75]),
    "quantiles": lambda: jf.Quantiles(edges=[0.0, 1.0, 3.0], mass=[0.5, 0.5]),
    "radial": lambda: jf.Radial(edges=[0.5, 1.0, 3.0], dim=3, mass=[0.5, 0.5]),
    "gaussian": lambda: jf.Gaussian(mean=[0.0, 1.0], cov=[[1.0, 0.2], [0.2, 2.0]]),
}


@pytest.mark.parametrize("kind", MEASURES)
def test_what_every_measure_offers(kind):
    mu = MEASURES[kind]()
    n, d = mu.points.shape
    assert mu.kind == kind and mu.weights.shape == (n,) and isinstance(mu.dim, int)
    assert mu.dim == (3 if kind == "radial" else d)
    assert mu.mean().shape == (d,) and mu.cov().shape == (d, d)
    assert mu.integrate(lambda x: np.ones(len(x))) == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(mu.displaced(np.full((n, d), 0.5)).mean(), mu.mean() + 0.5)
    arrays = mu.to_arrays()
    again = type(mu).from_arrays(arrays)
    assert all(np.array_equal(again.to_arrays()[name], arrays[name]) for name in arrays)


def test_measures_by_position():
    assert jf.Particles([[0.0], [1.0]], [0.5, 0.5]).dim == 1
    mu = jf.Quantiles([0.0, 1.0, 3.0], [0.5, 0.5])
    assert (mu.edges.tolist(), mu.mass.tolist()) == ([0.0, 1.0, 3.0], [0.5, 0.5])
    assert jf.Quantiles.from_ppf(lambda s: s, 4, "cosine").edges.shape == (5,)
    assert jf.Quantiles.from_ppf(lambda s: s, 4, grading="uniform").edges.tolist()[1] == 0.25
    assert jf.Quantiles.normal(1.0, 2.0, 50).mean() == pytest.approx([1.0], abs=1e-14)
    # E|θ|² = 3·4; the cells' error at n = 400 is 1e-4 of it
    radial = jf.Radial.normal(2.0, 3, 400)
    assert radial.integrate(lambda r: r[:, 0] ** 2) == pytest.approx(12.0, rel=1e-3)


def square(x):
    return (x**2).sum(axis=1)


R = jf.Risk(lambda theta: theta.T, [1.0, 2.0], [0.5, 0.5])
FUNCTIONALS = {
    "Potential": lambda: jf.Potential(square, lambda x: 2 * x, None, 2.0),
    "QuadraticPotential": lambda: jf.QuadraticPotential(1.0, [1.0, 0.0]),
    "Interaction": lambda: jf.Interaction(square, lambda z: 2 * z, None, 2.0),
    "QuadraticInteraction": lambda: jf.QuadraticInteraction(1.0),
    "Entropy": jf.Entropy,
    "PowerEnergy": lambda: jf.PowerEnergy(2.0, 0.5),
    "KullbackLeibler": lambda: jf.KullbackLeibler(lambda x: -square(x), lambda x: -2 * x),
    "MMD": lambda: jf.MMD(jf.Particles([[0.0, 0.0]]), lambda x, y: x @ y.T),
    "Risk": lambda: R,
    "free_energy": lambda: jf.free_energy(R, 0.1, 5.0),
    "functional": lambda: jf.functional(gradient=lambda x, w: 2 * x, convexity=2.0)(
        lambda x, w: w @ square(x)
    ),
    "bare functional": lambda: jf.functional(lambda x, w: w @ square(x)),
}


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_what_every_functional_offers(name):
    F, mu = FUNCTIONALS[name](), MEASURES["gaussian"]()
    value = F.value(mu)
    assert isinstance(value, float)
    at = np.array([[0.0, 0.0], [1.0, 2.0], [0.5, -1.0]])
    assert F.first_variation(mu, at).shape == (3,)
    assert F.gradient(mu).shape == mu.points.shape
    twice = ((F + F, 2.0), (sum([F, F]), 2.0))
    for other, factor in (*twice, (3.0 * F, 3.0), (F * 3.0, 3.0), (F / 2.0, 0.5)):
        assert other.value(mu) == pytest.approx(factor * value, rel=1e-13)


def test_parts_of_a_risk_and_of_a_free_energy():
    assert R.features(np.ones((3, 2))).shape == (2, 3)
    assert (R.targets.tolist(), R.weights.tolist()) == ([1.0, 2.0], [0.5, 0.5])
    by_name = jf.free_energy(risk=R, lam=0.1, beta=5.0)
    written = 0.5 * R + jf.QuadraticPotential(0.1) + jf.Entropy() / 5.0
    mu = MEASURES["gaussian"]()
    assert by_name.value(mu) == pytest.approx(written.value(mu), rel=1e-14)
    assert by_name.smooth.value(mu) + by_name.internal.value(mu) == pytest.approx(by_name.value(mu))
    classes = jf.networks.GaussianClasses(4, 1.5, 0.5, active=2)
    isotropic = jf.networks.GaussianClasses.var(5, delta=0.4)
    for risk, dim in (
        (jf.networks.radial_risk(isotropic, jf.networks.truncated_relu), 1),
        (jf.networks.reduced_relu_risk(classes), 4),
    ):
        assert isinstance(risk, jf.Risk)
        q = len(risk.targets)
        assert risk.weights.shape == (q,) and risk.features(np.ones((3, dim))).shape == (q, 3)


PROBLEMS = {
    "particles": jf.QuadraticPotential(1.0),
    "quantiles": jf.Entropy() + jf.QuadraticPotential(1.0),
    "radial": jf.Entropy() + jf.QuadraticPotential(1.0),
    "gaussian": jf.Entropy() + jf.QuadraticPotential(1.0),
}
STEPPERS = {
    "particles": "ParticleProximal",
    "quantiles": "QuantileNewton",
    "radial": "QuantileNewton",
    "gaussian": "BuresProximal",
}


@pytest.mark.parametrize("kind", MEASURES)
def test_asking_running_and_judging(kind, tmp_path):
    problem = jf.Problem(PROBLEMS[kind], MEASURES[kind](), 0.1, 3)
    stepper = getattr(jf.steppers, STEPPERS[kind])()
    run = jf.flow(
        problem, stepper, store=jf.Directory(tmp_path / "run"), save=jf.every(1), observers=(),
        events=(), progress=False, rng=0, max_steps=None, throw=True,
    )  # fmt: skip
    np.testing.assert_allclose(run.times, [0.0, 0.1, 0.2, 0.3], atol=1e-15)
    assert run.energies.shape == (4,) and len(run.measures) == 4
    assert run.measures[0] is problem.initial and run.final is run.measures[-1]
    assert run.status is jf.Status.COMPLETE and run[2].index == 2
    assert run[2].measure is run.measures[2]
    loaded = jf.load(tmp_path / "run")
    assert (loaded.energies == run.energies).all()
    records = list(jf.iterate(problem, stepper, rng=0))
    assert [r.energy for r in records] == run.energies[1:].tolist()
    (last,) = jf.iterate(problem, stepper, rng=None, resume=records[1])
    assert last.energy == records[2].energy
    report = jf.check_run(problem, run)
    assert report.verdict is jf.Verdict.ACCEPTED and report.exit_code == 0
    assert jf.check_run(problem, tmp_path / "run").verdict is jf.Verdict.ACCEPTED
    step = jf.check_step(
        problem.functional, run.measures[1], run.measures[2], 0.1, witness=run[2].witness
    )
    assert step.verdict is jf.Verdict.ACCEPTED


def test_problems_as_written():
    F, mu = jf.QuadraticPotential(1.0), jf.Quantiles([0.0, 1.0])
    assert jf.Problem(F, mu, 0.1, 3).steps == 3
    assert jf.Problem(F, mu, tau=0.1, steps=3).taus.tolist() == [0.1] * 3
    assert jf.Problem(F, mu, [0.1, 0.2]).taus.tolist() == [0.1, 0.2]
    assert jf.Problem(F, mu, 0.25, t_end=1.0).times[-1] == 1.0
    ten = jf.Problem(F, mu, 0.1, t_end=1.0)  # 1 − 9·0.1 is not 0.1 in float64
    assert ten.spec() == jf.Problem(F, mu, 0.1, steps=10).spec() and ten.times[-1] == 1.0


def test_manual_stepping():
    F, mu = jf.QuadraticPotential(1.0), jf.Quantiles([0.0, 1.0, 2.0])
    stepper, rng = jf.steppers.QuantileNewton(), np.random.default_rng(0)
    state = stepper.init(F, mu, 0.1, rng)
    out = stepper.step(F, mu, 0.1, state, rng)
    assert isinstance(out, jf.steppers.StepOutput)
    measure, state, witness, stats, status, *_ = out
    assert status.ok and measure.edges[1] == pytest.approx(1 / 1.1) and witness is not None
    assert isinstance(stats["iterations"], int) and set(state) == {"velocity"}


def test_steppers_have_their_names():
    for name in ("QuantileNewton", "ParticleProximal", "BuresProximal", "ConvexProgram", "Exact"):
        assert issubclass(getattr(jf.steppers, name), jf.steppers.Stepper)


def test_networks_and_sgd_as_written():
    net = jf.networks
    classes = net.GaussianClasses.std(3, 0.5)
    assert (classes.std_plus, classes.std_minus) == (1.5, 0.5)
    x, y = classes.sample(7, np.random.default_rng(0))
    assert x.shape == (7, 3) and set(y) <= {-1.0, 1.0}
    for activation in (net.truncated_relu, net.non_monotone, net.relu):
        assert activation(np.zeros(2)).shape == (2,)
        units = ((net.SimpleUnit(activation), 3), (net.ScaledUnit(activation), 5))
        for unit, width in units:
            run = jf.sgd(
                unit, classes, np.ones((4, width)), steps=2, epsilon=0.01, xi=1.0, lam=0.0,
                beta=math.inf, batch=1, rng=0, record=[0.0, 0.02],
            )  # fmt: skip
            assert run.theta.shape == (4, width) and run.status is jf.Status.COMPLETE


def test_gibbs_and_reports_as_written(tmp_path):
    F = jf.QuadraticPotential(1.0) + jf.Entropy() / 2.0
    for where in (jf.Quantiles.normal(0.0, 1.0, 50), (-8.0, 8.0)):
        star = jf.solve_gibbs(F, where)
        assert star.status.ok and abs(star.gap) < 1e-10
        # Z = √(2π/β)
        assert star.log_partition == pytest.approx(0.5 * math.log(math.pi), abs=1e-9)
        assert star.free_energy == pytest.approx(-star.log_partition / 2.0, abs=1e-9)
    reports = [jf.check_fixed_point(F, star.measure), jf.check_functional(F, star.measure, rng=0)]
    for k, report in enumerate(reports):
        assert report.verdict is jf.Verdict.ACCEPTED and report.exit_code == 0
        assert isinstance(report.assumptions, tuple) and report.findings
        for finding in report.findings:
            assert isinstance(finding, jf.Finding) and isinstance(finding.verdict, jf.Verdict)
            assert {"claim", "measured", "bound", "assumptions", "where"} <= set(vars(finding))
        report.to_html(tmp_path / f"{k}.html")
        assert "ACCEPTED" in Path(tmp_path / f"{k}.html").read_text(encoding="utf-8")


def test_a_finding_by_position():
    finding = jf.Finding("mass", jf.Verdict.REJECTED, 2.0, 1.0, ("none",), "step 3")
    report = jf.Report("a run", (finding,))
    assert report.verdict is jf.Verdict.REJECTED and report.exit_code == 1
    assert {v.name: int(v.exit_code) for v in jf.Verdict} == {
        "ACCEPTED": 0, "REJECTED": 1, "UNDECIDED": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("demo", {"name"}),
        ("run", {"problem", "store", "resume"}),
        ("check", {"problem", "directory"}),
        ("report", {"directory"}),
        ("list", set()),
    ],
)
def test_commands(command, options):
    from jkoflow.cli import cli

    assert options <= {parameter.name for parameter in cli.commands[command].params}


def test_the_docs_table_of_exit_codes():
    from jkoflow.cli import Exit

    codes = [Exit.ACCEPTED, Exit.REJECTED, Exit.UNDECIDED, Exit.UNREADABLE, Exit.INTERNAL]
    assert codes == [0, 1, 2, 3, 4]
