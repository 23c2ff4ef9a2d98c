"""An objective with priors as a density: its draws, and the same as a NumPyro model."""
