"""How sure one may be, measured: sampling against plain NumPyro."""
