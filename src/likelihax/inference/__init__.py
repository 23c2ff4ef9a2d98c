"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from ._individuals import IndividualValues as IndividualValues
from ._individuals import individuals as individuals
from ._individuals import typical as typical
