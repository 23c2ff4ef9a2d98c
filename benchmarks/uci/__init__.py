"""Networks of one hidden layer on the regression sets that Bayesian deep learning papers share."""
