"""The gateway: jobs and their events over HTTP. It keeps nothing; everything it serves is in the store or the log."""

from streamproc.gateway.app import create_app
from streamproc.gateway.server import serve

__all__ = ["create_app", "serve"]
