"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from .._information import Covariance as Covariance
from .._information import Identifiability as Identifiability
from .._information import Open as Open
from .._information import Spread as Spread
from . import intervals as intervals
from ._bands import Bands as Bands
from ._bands import bands as bands
from ._delta import Derived as Derived
from ._delta import delta as delta
from ._profile import Interval as Interval
from ._profile import Profile as Profile
from ._profile import Profiles as Profiles
from ._profile import profile as profile
from ._refits import Refits as Refits
from ._simulate import simulate_and_refit as simulate_and_refit
