"""Pictures of a fit. Matplotlib is imported when one is drawn, and by nothing else here."""

from ._bands import bands as bands
from ._ensemble import ensemble as ensemble
from ._learned import learned as learned
from ._learning_curves import learning_curves as learning_curves
from ._path import path as path
from ._population import individual_values as individual_values
from ._population import population as population
from ._posterior import posterior as posterior
from ._profiles import profiles as profiles
from ._trajectories import trajectories as trajectories
from ._waterfall import waterfall as waterfall
