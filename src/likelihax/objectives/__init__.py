"""Objectives: what is minimised. The NLL, one's own function, and weighted sums with terms."""

from ._group_nll import GroupNLL as GroupNLL
from ._hidden_noise import HiddenNoise as HiddenNoise
from ._marginal import Marginal as Marginal
from ._nll import NLL as NLL
from ._objective import AbstractObjective as AbstractObjective
from ._objective import Evaluation as Evaluation
from ._objective import Split as Split
from ._objective import WeightedSum as WeightedSum
from ._objective import as_sum as as_sum
from ._objective import evaluated as evaluated
from ._observations import CurvedLoss as CurvedLoss
from ._observations import Observations as Observations
from ._scalar import ScalarObjective as ScalarObjective
from ._unknowns import Unknowns as Unknowns
