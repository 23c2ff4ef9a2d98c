"""Kinds of intervals whose coverage can be measured, one file a kind."""

from ._intervals import AbstractIntervals as AbstractIntervals
from ._intervals import Ends as Ends
from ._intervals import Estimated as Estimated
from ._laplace import Laplace as Laplace
from ._profiled import Profiled as Profiled
from ._sandwich import Sandwich as Sandwich
from ._wald import Wald as Wald
