"""Diagnostics: what a fit shows of itself, and what its predictions do, said in words."""

from ._learned_share import learned_share as learned_share
from ._learning_curves import Diagnosis as Diagnosis
from ._learning_curves import Finding as Finding
from ._learning_curves import diagnose as diagnose
from ._out_of_distribution import OutOfDistribution as OutOfDistribution
from ._out_of_distribution import out_of_distribution as out_of_distribution
from ._strangeness import strangeness as strangeness
from ._verdict import Verdict as Verdict
from ._verdict import verdict as verdict
