"""What may happen to a fit, as values: Optimistix's and Diffrax's results and our own."""

from typing import Any

import diffrax as dfx


class RESULTS(dfx.RESULTS):
    """How a fit or a solve ended; every sentence says what happened and what to try."""

    successful: Any = ""
    start_failed: Any = (
        "The NLL could not be evaluated at the start: nothing was fitted. Start elsewhere, or "
        "allow the solver more steps."
    )
    stalled: Any = (
        "No further step lowered the NLL, yet its gradient is not zero: the best point found is "
        "returned. Tighten the solver's tolerances, or loosen the fit's."
    )
    runaway: Any = (
        "The NLL keeps falling, ever more slowly, while some parameters run off towards the edge "
        "of their range, where it no longer depends on them: there is no minimum here. Start "
        "elsewhere, bound or freeze these parameters, or simplify the model."
    )
    frozen: Any = (
        "The gradient was not finite over and over, so the last updates were all skipped: the "
        "best point found is returned. Start elsewhere, or lower the step size."
    )
    steps_used_up: Any = (
        "All steps were used before the gradient was small: the best point found is returned. "
        "Allow more steps (max_steps), or go on from this fit's predictor."
    )
    no_steady_state: Any = (
        "No steady state was found from the given initial state: start nearer to it, or give the "
        "time of the initial state (t0) if there is none."
    )
    events_used_up: Any = (
        "More events happened than a solve may have: allow more (Event(at_most=...)), or look "
        "whether they follow each other ever faster."
    )
    no_mode: Any = (
        "The individual values that are integrated out have no optimum that was found from their "
        "start: start them nearer to it, or give them a prior that holds them."
    )
    interrupted: Any = "Interrupted by the user: the best point found so far is returned."


_NAMES = (
    "successful",
    "start_failed",
    "stalled",
    "runaway",
    "frozen",
    "steps_used_up",
    "interrupted",
)


def describe(result: RESULTS) -> str:
    """The sentence for a result."""
    return RESULTS[result]  # type: ignore[misc]


def name_of(result: RESULTS) -> str:
    """What a result of a fit is called, such as `"runaway"`; its sentence if it is none of ours."""
    sentence = describe(result)
    return next((name for name in _NAMES if describe(getattr(RESULTS, name)) == sentence), sentence)
