"""Diagnostics: what a fit shows of itself, said in words."""

from ._learned_share import learned_share as learned_share
from ._learning_curves import Diagnosis as Diagnosis
from ._learning_curves import Finding as Finding
from ._learning_curves import diagnose as diagnose
