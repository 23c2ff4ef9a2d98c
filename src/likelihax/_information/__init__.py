"""What the data say about the parameters, and how that is named.

The Fisher information, observed and expected; the covariance from it, robust or not; and which
directions of the parameters it leaves open.
"""

from ._dispersion import pearson_dispersion as pearson_dispersion
from ._fisher import expected_rows as expected_rows
from ._fisher import observed_information as observed_information
from ._identifiability import Identifiability as Identifiability
from ._identifiability import Open as Open
from ._identifiability import identified as identified
from ._rows import cholesky as cholesky
from ._rows import residuals_of as residuals_of
from ._rows import rows_of as rows_of
from ._sandwich import clusters as clusters
from ._sandwich import scores as scores
from ._spread import Covariance as Covariance
from ._spread import Spread as Spread
from ._spread import nothing_known as nothing_known
from ._spread import spread_of_hessian as spread_of_hessian
from ._spread import spread_of_rows as spread_of_rows
