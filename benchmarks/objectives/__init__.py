"""Objectives other than the mean NLL: what they buy and what they cost, on public data."""
