"""Regression on the UCI sets with the splits that papers on uncertain networks share."""
