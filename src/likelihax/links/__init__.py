"""Links: from what a model predicts, any real number, to a parameter of a distribution."""

from ._complementary_log_log import ComplementaryLogLog as ComplementaryLogLog
from ._identity import Identity as Identity
from ._inverse import Inverse as Inverse
from ._link import AbstractLink as AbstractLink
from ._log import Log as Log
from ._logit import Logit as Logit
from ._probit import Probit as Probit
from ._softplus import Softplus as Softplus
from ._sqrt import Sqrt as Sqrt
