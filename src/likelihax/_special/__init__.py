"""Special functions that XLA lacks or gives too few digits of, for float32 and float64.

Every one is elementwise, keeps the dtype of its argument, and has an exact derivative.
"""
