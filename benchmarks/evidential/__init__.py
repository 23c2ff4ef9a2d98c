"""Whether what an evidential model says of its own uncertainty is so."""
