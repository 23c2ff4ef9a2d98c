"""What may happen to a fit, as values: Optimistix's and Diffrax's results and our own."""

import diffrax as dfx


class RESULTS(dfx.RESULTS):
    """How a fit or a solve ended. `RESULTS[result]` is the sentence for people."""

    successful = ""
    start_failed = (
        "The NLL could not be evaluated at the start: nothing was fitted. Start elsewhere, or "
        "allow the solver more steps."
    )
    stalled = (
        "No further step lowered the NLL, yet its gradient is not zero: the best point found is "
        "returned. Tighten the solver's tolerances, or loosen the fit's."
    )
    frozen = (
        "The gradient was not finite over and over, so the last updates were all skipped: the "
        "best point found is returned. Start elsewhere, or lower the step size."
    )
    interrupted = "Interrupted by the user: the best point found so far is returned."
