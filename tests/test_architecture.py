"""The judge's second lock: what a fresh interpreter has loaded once the judge is imported.

The first lock is the import contract in setup.cfg. It reads import statements; this one sees
what they do, also through other packages and through `jkoflow/__init__.py`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

NOT_FOR_THE_JUDGE = (
    "scipy.optimize", "scipy.sparse", "scipy.integrate", "scipy.stats",
    "ot", "cvxpy", "numba", "clarabel", "matplotlib", "sklearn",
    "jkoflow.networks", "jkoflow.transport", "jkoflow.steppers", "jkoflow.dynamics",
    "jkoflow.equilibrium", "jkoflow.flows", "jkoflow.store.directory", "jkoflow.report",
    "jkoflow.cli",
)  # fmt: skip

JUDGE_A_STEP = """
import numpy as np
from jkoflow.check import check_fixed_point, check_functional, check_step
from jkoflow.functionals.internal import Entropy
from jkoflow.functionals.potential import QuadraticPotential
from jkoflow.measures import Gaussian, Quantiles, Particles
F = Entropy() + QuadraticPotential(1.0)
check_step(F, Quantiles.normal(0.0, 1.0, 20), Quantiles.normal(0.0, 1.1, 20), 0.1)
check_functional(F, Gaussian(0.0, 1.0), rng=0)
check_fixed_point(F, Gaussian(0.0, 1.0))
"""


def loaded_after(code: str) -> list[str]:
    """Names of the modules that a fresh interpreter holds after running ``code``."""
    script = code + "\nimport sys\nprint('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def under(modules: list[str], package: str) -> list[str]:
    return [m for m in modules if m == package or m.startswith(package + ".")]


@pytest.mark.parametrize("code", ["import jkoflow.check", JUDGE_A_STEP], ids=["import", "use"])
def test_the_judge_loads_no_solver_stepper_or_run(code: str) -> None:
    modules = loaded_after(code)
    assert "jkoflow.check.step" in modules
    found = [m for package in NOT_FOR_THE_JUDGE for m in under(modules, package)]
    assert found == []


def test_the_lock_notices_what_it_forbids() -> None:
    modules = loaded_after("import jkoflow.check, scipy.optimize, jkoflow.flows.driver")
    assert under(modules, "scipy.optimize") and under(modules, "jkoflow.flows")


def test_importing_the_package_is_light() -> None:
    modules = loaded_after("import jkoflow")
    heavy = ("scipy", "ot", "cvxpy", "numba", "matplotlib", "jkoflow.check", "jkoflow.steppers")
    assert [m for package in heavy for m in under(modules, package)] == []
