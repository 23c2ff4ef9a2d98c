"""Threads for what is compiled: a call on a CPU leaves Python to others."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from threading import Event as Signal  # as a type, where tests replace what makes one
from typing import Any

import jax

# How often the main thread looks at what the others have done, in seconds.
_GLANCE = 0.1
# Up to jaxlib 0.11.1 a call of LAPACK for several matrices hands them to XLA's own threads, of
# which there is one a core, and waits for them on one of these: as many such calls at the same time
# wait for ever.
_LAPACK_WAITS = jax.__version_info__ < (0, 11, 2)


def num_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def most_threads(asked: int | None = None) -> int:
    """How many threads may run what is compiled: as asked, or else one a core.

    One core is left free where calls of LAPACK on all of them would wait for each other.
    """
    wanted, cores = asked or num_cores(), num_cores()
    return max(1, min(wanted, cores - 1)) if _LAPACK_WAITS else wanted


def share_out(
    work: Callable[[Any, Signal], None],
    tasks: Sequence[Any],
    workers: int | None,
    glance: Callable[[], None],
) -> bool:
    """Does `work(task, stop)` for each task, `workers` at the same time, each on a thread.

    As many as there are cores by default. `stop` is set where the user interrupts, or a task fails:
    those under way should end then, and no others begin. `glance` is called now and then on the
    caller's own thread. Returns whether the user interrupted.
    """
    stop = Event()
    todo = iter(tasks)  # its `next` gives each task to one thread only
    nothing = object()

    def on_a_thread() -> None:
        try:
            while not stop.is_set() and (task := next(todo, nothing)) is not nothing:
                work(task, stop)
        except BaseException:
            stop.set()
            raise

    interrupted = False
    count = min(most_threads(workers), len(tasks))
    with ThreadPoolExecutor(max(count, 1)) as pool:
        futures = [pool.submit(on_a_thread) for _ in range(count)]
        try:
            while wait(futures, _GLANCE, FIRST_EXCEPTION).not_done:
                glance()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            stop.set()
    for future in futures:
        future.result()
    return interrupted
