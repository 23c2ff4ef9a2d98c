"""Measurements of likelihax against certified answers and against its peers."""
