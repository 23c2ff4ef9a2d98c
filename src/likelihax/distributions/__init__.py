"""Distributions that NumPyro lacks, as NumPyro has them."""

from ._inverse_gamma_scale import InverseGammaScale as InverseGammaScale
from ._normal_inverse_gamma import MEAN_AND_VARIANCE as MEAN_AND_VARIANCE
from ._normal_inverse_gamma import NormalInverseGamma as NormalInverseGamma
from ._predictive_categorical import PredictiveCategorical as PredictiveCategorical
from ._predictive_student_t import PredictiveStudentT as PredictiveStudentT
