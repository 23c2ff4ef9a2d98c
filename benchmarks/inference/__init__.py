"""How sure one may be: hierarchical models, posteriors and intervals, and what they cost."""
