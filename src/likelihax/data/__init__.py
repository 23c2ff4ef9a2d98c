"""Measured data. Shapes, dtypes and missing values are checked once, here."""

from ._data import AbstractData as AbstractData
from ._dataset import Dataset as Dataset
from ._experiment import Experiment as Experiment
from ._experiments import Experiments as Experiments
from ._frame import experiments as experiments
