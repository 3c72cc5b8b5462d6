"""The notebook of the laboratory; `jkoflow lab` opens it, `marimo edit` changes it."""

import marimo

app = marimo.App(width="medium", app_title="jkoflow: laboratory")


@app.cell
def _():
    import marimo as mo

    from jkoflow.check import check_run
    from jkoflow.lab.faults import FAULTS, answered
    from jkoflow.lab.pictures import COLOURS, pictures, rows
    from jkoflow.lab.questions import POTENTIALS, SPREADING, Settings
    from jkoflow.status import JkoflowError

    return (
        COLOURS, FAULTS, JkoflowError, POTENTIALS, SPREADING, Settings, answered, check_run, mo,
        pictures, rows,
    )  # fmt: skip


@app.cell
def _(mo):
    mo.md(
        r"""
        # One flow, and its judge

        The **question**: a free energy
        $F(\rho)=\int V\,d\rho+\theta\,U(\rho)+\tfrac{a}{4}\iint|x-y|^2\,d\rho\,d\rho$ with
        $U=\int\rho\log\rho$ or $\int\rho^2$, a normal law to start from, and a step size $\tau$.
        The **answer**: laws $\rho_1,\rho_2,\dots$, each of which is to minimise
        $F(\rho)+W_2^2(\rho,\rho_k)/2\tau$. The **judge** sees only the question and the laws. Put a
        fault into the answer, and look at what it still finds when the fault is small.
        """
    )
    return


@app.cell
def _(FAULTS, POTENTIALS, SPREADING, Settings, mo):
    start = Settings()

    def slider(low, high, step, value, label):
        return mo.ui.slider(low, high, step, value, label=label, show_value=True, debounce=True)

    asked = mo.ui.dictionary(
        {
            "potential": mo.ui.dropdown([*POTENTIALS], start.potential, label="potential V"),
            "spreading": mo.ui.dropdown([*SPREADING], start.spreading, label="spreading U"),
            "strength": slider(0.0, 1.0, 0.05, start.strength, "its strength θ"),
            "attraction": slider(-0.5, 2.0, 0.1, start.attraction, "attraction a"),
            "mean": slider(-2.0, 2.0, 0.1, start.mean, "start: mean"),
            "std": slider(0.1, 1.5, 0.1, start.std, "start: deviation"),
            "tau": slider(0.02, 1.0, 0.02, start.tau, "step size τ"),
            "steps": slider(5, 200, 5, start.steps, "steps"),
            "cells": slider(50, 500, 50, start.cells, "cells"),
        }
    )
    fault = mo.ui.dropdown(["none", *FAULTS], "none", label="fault")
    digits = slider(-8, -1, 1, -2, "size of the fault, a power of ten")
    return asked, digits, fault


@app.cell
def _(asked, digits, fault, mo):
    names = [*asked.elements]
    columns = [names[:4], names[4:6], names[6:]]
    mo.vstack(
        [
            mo.hstack([mo.vstack([asked[k] for k in some]) for some in columns], widths="equal"),
            mo.hstack([fault, digits], justify="start", gap=2),
        ],
        gap=1,
    )
    return


@app.cell
def _(COLOURS, JkoflowError, Settings, answered, asked, check_run, digits, fault, mo, pictures):
    try:
        settings = Settings(**asked.value)
        problem = settings.problem()
        chosen = None if fault.value == "none" else fault.value
        run = answered(settings, chosen, 10.0**digits.value)
        report = check_run(problem, run)
        shown = mo.vstack(
            [mo.callout(mo.md(f"**{report.verdict}**"), kind=COLOURS[str(report.verdict)]),
             *pictures(problem, run)]
        )  # fmt: skip
    except JkoflowError as error:
        report, shown = None, mo.callout(mo.md(f"{type(error).__name__}: {error}"), kind="warn")
    shown
    return (report,)


@app.cell
def _(mo, report, rows):
    mo.stop(report is None)
    mo.vstack(
        [
            mo.md("## What the judge found"),
            mo.ui.table(rows(report), selection=None, page_size=50, show_download=False),
            mo.md("Assuming: " + "; ".join(report.assumptions)),
        ]
    )
    return


if __name__ == "__main__":
    app.run()
