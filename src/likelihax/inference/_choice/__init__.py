"""Which model: criteria, nested pairs, values that were not fitted."""
