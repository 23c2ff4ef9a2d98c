"""Fits of problems with certified answers: `python -m benchmarks.reference PATH`."""
