"""Terms: what else matters besides the NLL, one file a term. Each is an objective."""

from ._collocation import Collocation as Collocation
from ._demographic_parity import DemographicParity as DemographicParity
from ._elastic_net import ElasticNet as ElasticNet
from ._entropy import Entropy as Entropy
from ._equalised_odds import EqualisedOdds as EqualisedOdds
from ._evidence import AbstractEvidenceTerm as AbstractEvidenceTerm
from ._evidence_against import EvidenceAgainst as EvidenceAgainst
from ._flat import Flat as Flat
from ._group_l1 import GroupL1 as GroupL1
from ._l1 import L1 as L1
from ._l2 import L2 as L2
from ._law import AbstractResidual as AbstractResidual
from ._law import Law as Law
from ._law import balance as balance
from ._law import boundary as boundary
from ._law import conserved as conserved
from ._law import monotone as monotone
from ._law import nonnegative as nonnegative
from ._learned_overlap import LearnedOverlap as LearnedOverlap
from ._learned_size import LearnedSize as LearnedSize
from ._misplaced_evidence import MisplacedEvidence as MisplacedEvidence
from ._penalty import AbstractPenalty as AbstractPenalty
from ._prior import Prior as Prior
from ._term import AbstractTerm as AbstractTerm
from ._vanishing_evidence import VanishingEvidence as VanishingEvidence
from ._weak_evidence import WeakEvidence as WeakEvidence
