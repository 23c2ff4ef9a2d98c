"""The linear predictor that several parts fit."""

import equinox as eqx
import jax.numpy as jnp

import likelihax as lhx


class Linear(eqx.Module):
    """Linear in the columns of a table."""

    coefficients: lhx.Parameter

    def __call__(self, table: jnp.ndarray) -> jnp.ndarray:
        """One number a row."""
        return table @ self.coefficients
