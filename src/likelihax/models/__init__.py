"""Models: anything from inputs to a prediction that has to be solved."""

from ._contributions import Contributions as Contributions
from ._event import Event as Event
from ._event import Resets as Resets
from ._hybrid import Hybrid as Hybrid
from ._learned import Learned as Learned
from ._learned import freeze_learned as freeze_learned
from ._learned import thaw_learned as thaw_learned
from ._learned import with_learned as with_learned
from ._learned import without_learned as without_learned
from ._ode import ODE as ODE
from ._ode import Trajectory as Trajectory
from ._simulator import AbstractSimulator as AbstractSimulator
from ._simulator import Simulation as Simulation
from ._simulator import Solves as Solves
from ._spline import Spline as Spline
from ._surrogate import Surrogate as Surrogate
