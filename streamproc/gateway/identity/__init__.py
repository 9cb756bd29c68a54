"""Who asks, what they may do, and which jobs are theirs to see."""

from streamproc.gateway.identity.model import ANONYMOUS, EVERYBODY, Identity
from streamproc.gateway.identity.seen import check_seen, identity_of, sees

__all__ = ["ANONYMOUS", "EVERYBODY", "Identity", "check_seen", "identity_of", "sees"]
