"""JSON Web Tokens of an issuer (RFC 7519, and RFC 8725 for how to check them)."""

import time
from collections import OrderedDict
from typing import Any, Final

import jwt
import msgspec
from msgspec import Struct

from streamproc.auth import SCOPES, Tokens
from streamproc.gateway.identity.jwks import KeySet
from streamproc.gateway.identity.model import Identity
from streamproc.gateway.identity.refusals import invalid_token

__all__ = ["Issuer", "why"]

_KEPT_SECONDS: Final = 60.0
"""How long a token that was found good isn't checked again; a key that its issuer takes back holds so much longer."""
_MOST_KEPT: Final = 1024
_OPTIONS: Final[Any] = {"require": ["exp", "aud", "iss"], "enforce_minimum_key_length": True}


class _Claims(Struct):
    """What is read of a token's claims."""

    exp: float
    sub: str = "token"
    scope: str = ""
    scopes: tuple[str, ...] = ()
    kinds: tuple[str, ...] | None = None
    owners: tuple[str, ...] | None = None
    jobs: tuple[str, ...] | None = None


class Issuer:
    """Checks the tokens of one issuer."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._keys = None if tokens.jwks is None else KeySet(tokens.jwks)
        self._good: OrderedDict[str, tuple[Identity, float]] = OrderedDict()
        self.via = f"jwt:{tokens.issuer}"

    async def identity(self, token: str) -> Identity:
        """Whom a token names. Raises `Problem`: 401 saying what is wrong, or 503 without the issuer's keys.

        When the identity ends is for the caller to see.
        """
        identity, until = self._good.get(token, (None, 0.0))
        if identity is None or until < time.monotonic():
            identity = await self._checked(token)
            self._good[token] = identity, time.monotonic() + _KEPT_SECONDS
            self._good.move_to_end(token)
            if len(self._good) > _MOST_KEPT:
                self._good.popitem(last=False)
        return identity

    async def _checked(self, token: str) -> Identity:
        try:
            key = await self._key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self._tokens.algorithms),
                audience=self._tokens.audience,
                issuer=self._tokens.issuer,
                leeway=self._tokens.leeway_seconds,
                options=_OPTIONS,
            )
            return self._identity(msgspec.convert(claims, _Claims))
        except jwt.PyJWTError as error:
            raise invalid_token(why(error)) from None
        except msgspec.ValidationError:
            raise invalid_token("sub and scope must be strings; scopes, kinds, owners and jobs lists of them") from None

    async def _key(self, header: dict[str, Any]) -> Any:
        algorithm = header.get("alg")
        if algorithm not in self._tokens.algorithms:
            raise jwt.InvalidAlgorithmError
        if self._keys is None:
            return self._tokens.secret
        key = await self._keys.key(header.get("kid"), algorithm)
        if key is None:
            raise invalid_token("the issuer has no such key")
        return key

    def _identity(self, claims: _Claims) -> Identity:
        return Identity(
            name=claims.sub,
            via=self.via,
            scopes=frozenset((*claims.scope.split(), *claims.scopes)) & frozenset(SCOPES),
            kinds=claims.kinds,
            owners=claims.owners,
            jobs=claims.jobs,
            expires=claims.exp + self._tokens.leeway_seconds,
        )


def why(error: jwt.PyJWTError) -> str:
    """What is wrong with a token, in words that may stand in a header."""
    match error:
        case jwt.ExpiredSignatureError():
            return "the token has expired"
        case jwt.ImmatureSignatureError():
            return "the token is not valid yet"
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case jwt.InvalidIssuerError():
            return "the token is from another issuer"
        case jwt.MissingRequiredClaimError():
            return f"the token has no {error.claim}"
        case jwt.InvalidAlgorithmError():
            return "the token is not signed by an algorithm that is taken here"
        case jwt.InvalidSignatureError():
            return "the signature is wrong"
    return "this is neither a key nor a token that is known here"
