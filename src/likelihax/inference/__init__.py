"""How sure one may be: profiles, posteriors, ensembles, and the choice among models."""

from .._information import Covariance as Covariance
from .._information import Identifiability as Identifiability
from .._information import Open as Open
from .._information import Spread as Spread
from ._bands import Bands as Bands
from ._bands import bands as bands
from ._bootstrap import Bootstrap as Bootstrap
from ._bootstrap import bootstrap as bootstrap
from ._comparison import Comparison as Comparison
from ._comparison import compare as compare
from ._criteria import Criteria as Criteria
from ._deep_ensemble import DeepEnsemble as DeepEnsemble
from ._deep_ensemble import deep_ensemble as deep_ensemble
from ._delta import Derived as Derived
from ._delta import delta as delta
from ._ensemble import Ensemble as Ensemble
from ._ensemble import survivors as survivors
from ._leave_one_out import PosteriorLoo as PosteriorLoo
from ._leave_one_out import leave_one_out as leave_one_out
from ._likelihood_ratio import LikelihoodRatio as LikelihoodRatio
from ._likelihood_ratio import likelihood_ratio as likelihood_ratio
from ._predictive_mixture import PredictiveMixture as PredictiveMixture
from ._refits import Refits as Refits
from ._stacking import stack as stack
