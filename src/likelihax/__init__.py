"""likelihax: state a model, what was measured and how it scatters; get a fit and its errors."""

from . import diagnostics as diagnostics
from . import fits as fits
from . import likelihoods as likelihoods
from . import links as links
from . import models as models
from . import objectives as objectives
from . import plot as plot
from . import reductions as reductions
from . import terms as terms
from ._data import AbstractData as AbstractData
from ._data import Dataset as Dataset
from ._data import Experiment as Experiment
from ._parameters import Parameter as Parameter
from ._parameters import bounded as bounded
from ._parameters import constrained as constrained
from ._parameters import frozen as frozen
from ._parameters import ordered as ordered
from ._parameters import positive as positive
from ._parameters import real as real
from ._parameters import resolve as resolve
from ._predictor import Predictor as Predictor
from ._result import RESULTS as RESULTS
from .diagnostics import diagnose as diagnose
from .fits import BFGS as BFGS
from .fits import Box as Box
from .fits import Bundle as Bundle
from .fits import Fit as Fit
from .fits import GradientDescent as GradientDescent
from .fits import LevenbergMarquardt as LevenbergMarquardt
from .fits import Priors as Priors
from .fits import ProximalGradient as ProximalGradient
from .fits import ProximalNewton as ProximalNewton
from .fits import Spread as Spread
from .fits import cross_validate as cross_validate
from .fits import fit as fit
from .fits import multistart as multistart
from .fits import path as path
from .likelihoods import predicted as predicted
from .models import ODE as ODE
from .objectives import NLL as NLL
from .objectives import AbstractObjective as AbstractObjective
from .objectives import Evaluation as Evaluation
from .objectives import ScalarObjective as ScalarObjective
from .objectives import WeightedSum as WeightedSum

__version__ = "0.1.0"
