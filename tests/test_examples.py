"""Every example runs as a script, in a folder of its own; what it claims, it asserts."""

import runpy
from contextlib import nullcontext
from pathlib import Path

import jax
import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# optax.adam raises floats to an int32 count, which strict promotion forbids.
CALLS_OPTAX = {"hand_written_loop"}


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda script: script.stem)
def test_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where it saves its picture
    monkeypatch.syspath_prepend(str(EXAMPLES))  # as `python examples/script.py` would
    lenient = script.stem in CALLS_OPTAX
    with jax.numpy_dtype_promotion("standard") if lenient else nullcontext():
        runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed
    if "picture is at" in printed:
        (picture,) = tmp_path.glob("*.png")
        assert f"The picture is at {picture.resolve()}" in printed
