"""Several fits as one prediction: other starts, other data, and the mixture of them."""
