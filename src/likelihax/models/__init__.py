"""Models: anything from inputs to a prediction that has to be solved."""

from ._event import Event as Event
from ._event import Resets as Resets
from ._ode import ODE as ODE
from ._ode import Trajectory as Trajectory
from ._simulator import AbstractSimulator as AbstractSimulator
from ._simulator import Simulation as Simulation
from ._simulator import Solves as Solves
from ._spline import Spline as Spline
from ._surrogate import Surrogate as Surrogate
