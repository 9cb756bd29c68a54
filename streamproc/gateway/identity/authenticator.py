"""From what a request carries to an identity."""

import time

from streamproc.auth import Auth
from streamproc.gateway.backend import Backend
from streamproc.gateway.identity.head import Head
from streamproc.gateway.identity.keyring import Keyring
from streamproc.gateway.identity.model import ANONYMOUS, EVERYBODY, Identity
from streamproc.gateway.identity.origins import Origins
from streamproc.gateway.identity.refusals import invalid_token
from streamproc.gateway.identity.signed import Use, verify
from streamproc.gateway.identity.tokens import Issuer

__all__ = ["Authenticator"]


class Authenticator:
    """Knows who asks. The first credential of these counts, and has to be good: a bearer token or key, a ticket, a
    share link, a session. Without authentication only the signed ones are looked at, as they can take rights away.

    Args:
        auth: who may use the gateway; None is everybody.
        backend: where the namespace's secret is.
        origins: which pages may send cookies.
    """

    def __init__(self, auth: Auth | None, backend: Backend, origins: Origins) -> None:
        self._open = auth is None
        self._backend = backend
        self._origins = origins
        self._keyring = Keyring({} if auth is None else auth.keys)
        self._issuer = None if auth is None or auth.jwt is None else Issuer(auth.jwt)

    async def identify(self, head: Head, path: str) -> Identity:
        """Who asks; `ANONYMOUS` where nothing says so.

        Raises:
            Problem: 401; what the request carries is no good.
            ServerError: a ticket, link or session can't be checked now.
        """
        identity = await self._found(head, path)
        if identity.expires is not None and identity.expires <= time.time():
            raise invalid_token("it has expired")
        return identity

    async def _found(self, head: Head, path: str) -> Identity:
        if head.bearer and not self._open:
            return await self._of_bearer(head.bearer)
        if ticket := head.parameter("ticket"):
            return await self._signed("ticket", ticket)
        if link := head.parameter("share"):
            return await self._shared(link, head, path)
        if self._open:
            return EVERYBODY
        if session := head.session:
            self._origins.check_with_cookie(head)
            return await self._signed("session", session)
        return ANONYMOUS

    async def _of_bearer(self, given: str) -> Identity:
        identity = self._keyring.find(given)
        if identity is not None:
            return identity
        if self._issuer is None:
            raise invalid_token("this is not a key that is known here")
        return await self._issuer.identity(given)

    async def _shared(self, link: str, head: Head, path: str) -> Identity:
        if not head.reads or not path.startswith("/v1/jobs/"):
            raise invalid_token("share: a link is for reading its job, and nothing else")
        return await self._signed("share", link)

    async def _signed(self, use: Use, token: str) -> Identity:
        """Of a session, ticket or link. It ends, too, when the key that it was made with is taken out."""
        identity = await verify(self._backend.get().vault, use, token)
        issuers = frozenset(() if self._issuer is None else (self._issuer.via,))
        if identity.via not in (frozenset(("none",)) if self._open else self._keyring.vias | issuers):
            raise invalid_token(f"{use}: what it was made with is not taken here any more")
        return identity
