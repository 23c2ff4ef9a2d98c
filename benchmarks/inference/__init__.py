"""What the toolkit says of how sure one may be, measured."""
