"""Every Python block of the README and of the docs runs, one page after the other.

A `text` block that follows a block which printed is what it printed, and is held to it, save for
what differs from one machine, and one JAX, to the next: times, gradients, counts of steps,
estimates that nothing determines, the last digits of an NLL.
"""

import re
from contextlib import nullcontext
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRINTED = "printed by the block before"
VARYING = [
    (r"compiled in .*", "compiled in TIME"),
    (r"largest gradient [^;]*", "largest gradient SMALL"),
    (r"in \d+ steps", "in SOME steps"),
    (r"\d\S+ +not determined", "ANYTHING not determined"),
    (r"NLL (-?\d+\.\d{3})\d+", r"NLL \1..."),
]


def settled(text):
    # Wrapped lines and aligned columns are the same text.
    text = " ".join(line.rstrip() for line in text.strip().splitlines())
    text = re.sub(r"\s+", " ", text)
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text)
    return text


def compare(example):
    printed = example.namespace.pop(PRINTED, "")
    if printed:
        assert settled(printed) == settled(example.parsed)


SYBIL = Sybil(parsers=[PythonCodeBlockParser(), CodeBlockParser("text", compare)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where a block may save its picture
    document = SYBIL.parse(page)
    document.namespace["__name__"] = "__main__"  # a class that a block defines needs a module
    # optax.adam raises floats to an int32 count, which strict promotion forbids.
    lenient = "optax.adam" in page.read_text()
    for block in document.examples():
        with jax.numpy_dtype_promotion("standard") if lenient else nullcontext():
            block.evaluate()
        printed = capsys.readouterr().out
        if printed:
            document.namespace[PRINTED] = printed
    plt.close("all")
