"""Likelihoods: one file a distribution."""

from ._likelihood import AbstractLikelihood as AbstractLikelihood
from ._likelihood import AbstractRegularLikelihood as AbstractRegularLikelihood
from ._log_normal import LogNormal as LogNormal
from ._normal import Normal as Normal
