"""Terms: what else matters besides the NLL, one file a term. Each is an objective."""

from ._elastic_net import ElasticNet as ElasticNet
from ._group_l1 import GroupL1 as GroupL1
from ._l1 import L1 as L1
from ._l2 import L2 as L2
from ._penalty import AbstractPenalty as AbstractPenalty
from ._prior import Prior as Prior
from ._term import AbstractTerm as AbstractTerm
