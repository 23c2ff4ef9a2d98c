"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from ._profile import Interval as Interval
from ._profile import Profile as Profile
from ._profile import Profiles as Profiles
from ._profile import profile as profile
