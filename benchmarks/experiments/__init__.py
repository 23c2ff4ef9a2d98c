"""What fits of many, ragged and driven experiments promise."""
