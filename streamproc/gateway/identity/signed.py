"""What the gateway signs itself: browsers' sessions, one-use tickets, share links.

All are JSON Web Tokens signed with the secret of the namespace. They differ by their audience: none passes for another.
"""

import secrets
import time
from typing import Any, Final, Literal

import jwt
import msgspec

from streamproc.gateway.identity.model import Identity
from streamproc.gateway.identity.refusals import invalid_token
from streamproc.gateway.identity.tokens import why
from streamproc.vault import Vault

__all__ = ["TICKET_SECONDS", "Use", "sign", "verify"]

Use = Literal["session", "ticket", "share"]

TICKET_SECONDS: Final = 30
_ALGORITHM: Final = "HS256"
_REQUIRED: Final[Any] = {"require": ["exp", "aud", "jti"]}


async def sign(vault: Vault, use: Use, identity: Identity, seconds: int) -> tuple[str, float]:
    """A token that stands for an identity, and when it ends: never after the identity does. Raises `ServerError`."""
    now = time.time()
    ends = now + seconds if identity.expires is None else min(now + seconds, identity.expires)
    claims = {
        "aud": f"streamproc:{use}",
        "exp": int(ends),
        "jti": secrets.token_urlsafe(16),
        "identity": msgspec.to_builtins(identity),
    }
    return jwt.encode(claims, await vault.secret(), _ALGORITHM), float(int(ends))


async def verify(vault: Vault, use: Use, token: str) -> Identity:
    """The identity that a token stands for; a ticket is spent by it.

    Raises:
        Problem: 401; it isn't one of ours, of this use, or its time or its one use is over.
        ServerError: nobody knows.
    """
    try:
        claims = jwt.decode(
            token, await vault.secret(), algorithms=[_ALGORITHM], audience=f"streamproc:{use}", options=_REQUIRED
        )
    except jwt.PyJWTError as error:
        raise invalid_token(f"{use}: {why(error)}") from None
    if use == "ticket" and not await vault.spend(claims["jti"], 2 * TICKET_SECONDS):
        raise invalid_token("ticket: it has been used")
    identity = msgspec.convert(claims["identity"], Identity)
    if use == "ticket":
        return identity  # what it opens may outlive it, and ends with the identity
    return msgspec.structs.replace(identity, expires=float(claims["exp"]))
