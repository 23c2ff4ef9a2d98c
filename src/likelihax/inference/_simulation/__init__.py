"""What estimates and intervals are worth for a design: simulated data, fitted again."""
