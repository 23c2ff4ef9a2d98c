"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from ._bands import Bands as Bands
from ._bands import bands as bands
from ._delta import Derived as Derived
from ._delta import delta as delta
