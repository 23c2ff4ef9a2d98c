"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from ._draws import Draws as Draws
from ._numpyro_model import draw as draw
from ._numpyro_model import numpyro_model as numpyro_model
from ._numpyro_model import observe as observe
from ._posterior import Posterior as Posterior
from ._predictive import prior_predictive as prior_predictive
from ._sample import sample as sample
