"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from .._information import Covariance as Covariance
from .._information import Identifiability as Identifiability
from .._information import Open as Open
from .._information import Spread as Spread
from ._bands import Bands as Bands
from ._bands import bands as bands
from ._delta import Derived as Derived
from ._delta import delta as delta
