"""What the curvature at the estimates says of functions of them, and of predictions."""
