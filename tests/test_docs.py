"""Every Python block of the README and of the docs runs, one page after the other."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SYBIL = Sybil(parsers=[PythonCodeBlockParser()])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a block may save its picture
    document = SYBIL.parse(page)
    document.namespace["__name__"] = "__main__"  # a class that a block defines needs a module
    for block in document.examples():
        block.evaluate()
    plt.close("all")
