"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""
