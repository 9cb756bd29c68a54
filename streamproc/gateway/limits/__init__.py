"""How much one client may ask of a gateway, and all of them together. Pure ASGI."""

from streamproc.gateway.limits.crowds import Crowds
from streamproc.gateway.limits.deadlines import Deadlines
from streamproc.gateway.limits.rates import Rates

__all__ = ["Crowds", "Deadlines", "Rates"]
