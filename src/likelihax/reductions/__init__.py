"""Reductions: from one loss a value to the one number that is minimised."""

from ._cvar import CVaR as CVaR
from ._mean import Mean as Mean
from ._reduction import AbstractReduction as AbstractReduction
from ._sum import Sum as Sum
from ._worst_group import WorstGroup as WorstGroup
