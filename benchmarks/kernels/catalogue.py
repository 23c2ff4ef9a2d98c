"""All cases by name, and their checks in a process of their own."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.kernels import accuracy, composed, continuous, counted, linked
from benchmarks.kernels.case import Case

CASES: dict[str, Case] = {
    case.name: case for module in (continuous, counted, composed, linked) for case in module.CASES
}
Job = tuple[str, str, int]  # family, dtype, number of points


def checked(jobs: Sequence[Job], workers: int) -> Iterator[accuracy.Table]:
    """The tables, in the order of the jobs."""
    if workers < 2 or len(jobs) < 3:
        yield from map(_check, jobs)
        return
    # Forking a process in which JAX has started threads may hang it.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_check, jobs)


def _check(job: Job) -> accuracy.Table:
    name, dtype, count = job
    return accuracy.check(CASES[name], dtype, count)
