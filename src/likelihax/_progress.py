"""Progress bars: tqdm where a person watches, nothing where nobody does."""

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm

# Whatever ends sooner shows no bar, in seconds.
_DELAY = 0.5


class Progress:
    """A bar over the steps of one long call, shown only after a moment and only to a person.

    `shown` is `True`, `False`, or `None` for: in a terminal or a notebook.
    """

    def __init__(self, total: int, label: str, shown: bool | None):
        self._total = total
        self._label = label
        self._shown = interactive() if shown is None else shown
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, note: str) -> None:
        """Moves the bar to `done` steps; short calls never get here and never see a bar."""
        if not self._shown:
            return
        if self._bar is None:
            self._bar = tqdm(total=self._total, desc=self._label, leave=False, delay=_DELAY)
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)


def interactive() -> bool:
    """Whether a person is likely to be watching: a terminal or a notebook."""
    return sys.stderr.isatty() or _in_a_notebook()


def _in_a_notebook() -> bool:
    """Whether this runs in a kernel; that something has imported one says nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")
