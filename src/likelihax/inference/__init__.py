"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from ._draws import Draws as Draws
from ._posterior import Posterior as Posterior
from ._sample import sample as sample
