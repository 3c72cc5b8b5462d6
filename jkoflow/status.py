"""What can happen, said once: the statuses of steps and runs, and the typed errors."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """How a step, or a whole run, ended; each member's value is the sentence that says so.

    Examples
    --------
    >>> Status.CONVERGED.ok, Status.NON_FINITE.ok
    (True, False)
    >>> print(Status.NON_FINITE)
    a value that is not finite (NaN or infinity) appeared
    """

    CONVERGED = "the step's minimiser was found to the requested accuracy"
    EXACT = "the step was taken by a closed formula"
    COMPLETE = "all requested steps were taken"
    RUNNING = "the run has not ended yet"
    EVENT = "an event asked the run to stop"
    MAX_STEPS = "the limit max_steps was reached before the last requested step"
    INTERRUPTED = "the run was interrupted; the steps already taken are kept"
    FAILED = "an error ended the run; the steps before it are kept"
    MAX_ITERATIONS = "the iteration limit was reached before the step's minimiser was found"
    STALLED = "no further decrease was possible above the rounding error, short of the tolerance"
    NOT_CONVEX = "the step's objective is not convex here; a smaller tau would make it so"
    UNBOUNDED = "the step's objective has no minimiser: it is unbounded from below"
    INFEASIBLE = "no admissible measure satisfies the step's constraints"
    SOLVER_FAILED = "the external solver gave no usable answer"
    DEGENERATE = "the mesh is nearly flat, or covers itself; re-mesh, or take a smaller tau"
    UNRESOLVED = "mass gathered in single cells, which a grid cannot tell from points: finer cells"
    NON_FINITE = "a value that is not finite (NaN or infinity) appeared"
    LOST_MASS = "the total mass changed during a step"

    @property
    def ok(self) -> bool:
        """Whether the result may be used as what was asked for."""
        return self in _GOOD

    def __str__(self) -> str:
        return self.value


_GOOD = frozenset(
    {Status.CONVERGED, Status.EXACT, Status.COMPLETE, Status.RUNNING, Status.EVENT}
)


class JkoflowError(Exception):
    """Root of every error that jkoflow raises on purpose."""


class InvalidMeasure(JkoflowError, ValueError):
    """The arrays do not describe a probability measure."""


class InvalidFunctional(JkoflowError, ValueError):
    """A functional was given wrong parameters, or answered something that is not an energy."""


class InvalidProblem(JkoflowError, ValueError):
    """A problem, a step size, a schedule or an option makes no sense."""


class NotDefined(JkoflowError, TypeError):
    """The functional (or its derivative) does not exist on this kind of measure."""


class MissingStructure(JkoflowError, TypeError):
    """A method needs optional structure (a gradient, a curvature, ...) that was not given."""


class MissingExtra(JkoflowError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class TransportFailed(JkoflowError, RuntimeError):
    """An optimal transport problem was not solved to a certified gap."""


class StoreError(JkoflowError, OSError):
    """A stored run cannot be written, read, or trusted."""


class StepFailed(JkoflowError, RuntimeError):
    """A flow stopped early; ``trajectory`` holds every step taken before the failure."""

    def __init__(self, message: str, trajectory: object = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory


class SweepFailed(JkoflowError, RuntimeError):
    """Some cells of a sweep failed; ``sweep`` holds the results of all the others."""

    def __init__(self, message: str, sweep: object = None) -> None:
        super().__init__(message)
        self.sweep = sweep


def require_extra(module: str, extra: str) -> object:
    """Import ``module``, or raise `MissingExtra` naming the extra that installs it.

    Examples
    --------
    >>> require_extra("no_such_module", "plots")
    Traceback (most recent call last):
        ...
    jkoflow.status.MissingExtra: this needs no_such_module: pip install 'jkoflow[plots]'
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"this needs {module}: pip install 'jkoflow[{extra}]'"
        ) from error
