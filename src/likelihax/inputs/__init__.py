"""What drives a model from outside: recorded series, switches, functions, doses."""

from ._doses import Doses as Doses
from ._forcing import Forcing as Forcing
from ._input import AbstractInput as AbstractInput
from ._series import Series as Series
from ._steps import Steps as Steps
