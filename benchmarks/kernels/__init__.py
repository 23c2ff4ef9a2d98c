"""The kernels of the families: their digits against mpmath, their speed against a bare pass."""
