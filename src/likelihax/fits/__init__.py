"""Fits: one verb, `fit`, over exchangeable methods, one file a method."""

from ._bfgs import BFGS as BFGS
from ._bundle import Bundle as Bundle
from ._cross_validation import CrossValidation as CrossValidation
from ._cross_validation import cross_validate as cross_validate
from ._curves import LearningCurves as LearningCurves
from ._draws import AbstractDraws as AbstractDraws
from ._draws import Box as Box
from ._draws import Priors as Priors
from ._draws import Spread as Spread
from ._fit import fit as fit
from ._gradient_descent import GradientDescent as GradientDescent
from ._levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
from ._method import AbstractMethod as AbstractMethod
from ._method import Record as Record
from ._method import new_record as new_record
from ._multistart import MultiStart as MultiStart
from ._multistart import Optimum as Optimum
from ._multistart import multistart as multistart
from ._path import Path as Path
from ._path import path as path
from ._problem import Linearisation as Linearisation
from ._problem import Outcome as Outcome
from ._problem import Problem as Problem
from ._proximal_gradient import ProximalGradient as ProximalGradient
from ._proximal_newton import ProximalNewton as ProximalNewton
from ._report import Fit as Fit
