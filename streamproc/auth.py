"""The file that says who may use a gateway: keys, tokens, and what each of them may do."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from streamproc.errors import ConfigError

__all__ = ["ASYMMETRIC", "SCOPES", "SYMMETRIC", "Auth", "Key", "Tokens", "read_auth"]

SCOPES: Final = ("events:write", "jobs:read", "jobs:control", "claims", "log:read", "admin")
"""What may be granted. ``admin`` holds all the others."""

ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SYMMETRIC: Final = ("HS256", "HS384", "HS512")
_LEAST_SECRET: Final = 32
_HERE: Final = ("localhost", "127.0.0.1", "::1")

Names = tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...]


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A static key: the file has its hash, and its holder the key.

    Args:
        sha256: of the key, in hexadecimal; ``streamproc key`` prints both.
        scopes: of `SCOPES`.
        kinds, owners, jobs: limits, see `Identity`; left out is none.
        expires: an instant with its offset; left out is never.
    """

    sha256: Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
    scopes: Names
    kinds: Names | None = None
    owners: Names | None = None
    jobs: Names | None = None
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class Tokens(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose JSON Web Tokens are taken, and how they are checked.

    Args:
        algorithms: those that a signature may have. What a token says of itself never counts.
        issuer: what ``iss`` must be.
        audience: what ``aud`` must be, or hold.
        jwks: the issuer's keys: a URL, or a file beside this one. For asymmetric algorithms.
        secret: the issuer's secret. For HS256 and its like.
        leeway_seconds: by which clocks may differ.
    """

    algorithms: tuple[str, ...]
    issuer: Annotated[str, Meta(min_length=1)]
    audience: Annotated[str, Meta(min_length=1)]
    jwks: str | None = None
    secret: str | None = None
    leeway_seconds: Annotated[float, Meta(ge=0, le=300)] = 0


class Auth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may use a gateway.

    Args:
        keys: by their names.
        jwt: of whom tokens are taken; None takes none.
        secret: signs sessions, tickets and share links; None takes one that is made once and kept in the namespace.
        session_seconds: how long a browser's session lasts, at most.
    """

    keys: Mapping[Annotated[str, Meta(min_length=1, max_length=100)], Key] = {}
    jwt: Tokens | None = None
    secret: str | None = None
    session_seconds: Annotated[int, Meta(ge=60, le=30 * 86_400)] = 12 * 3600


def read_auth(path: Path) -> Auth:
    """Read a file of keys and tokens.

    Raises:
        ConfigError: naming each thing in it that can't work.
    """
    try:
        auth = msgspec.toml.decode(path.read_bytes(), type=Auth)
    except OSError as error:
        raise ConfigError(f"auth_file: can't read {path}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"auth_file: {path}: {_said(str(error))}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"auth_file: {path} is not TOML: {error}") from None
    wrong = [f"auth_file: {path}: {each}" for each in _wrong(auth)]
    if wrong:
        raise ConfigError("\n".join(wrong))
    if auth.jwt is not None and auth.jwt.jwks is not None and "://" not in auth.jwt.jwks:
        beside = msgspec.structs.replace(auth.jwt, jwks=str(path.parent / auth.jwt.jwks))
        return msgspec.structs.replace(auth, jwt=beside)
    return auth


def _said(error: str) -> str:
    """What msgspec says, with the place first, as it is named in TOML: ``keys.ci.scopes``."""
    reason, _, place = error.rpartition(" - at `$.") if " - at `$." in error else (error, "", "")
    place = place.rstrip("`").replace("[...]", "[each]")
    if "regex" in reason:
        reason = "must be the 64 hexadecimal digits of a SHA-256; `streamproc key` makes a key and prints them"
    return f"{place}: {reason}" if place else reason


def _wrong(auth: Auth) -> Iterator[str]:
    if not auth.keys and auth.jwt is None:
        yield "has neither keys nor jwt, so that nobody could use the gateway; `streamproc key NAME` makes a key"
    if auth.secret is not None and len(auth.secret.encode()) < _LEAST_SECRET:
        yield f"secret: must be {_LEAST_SECRET} bytes or more; leave it out, and one is made and kept in the namespace"
    known: dict[str, str] = {}
    for name, key in auth.keys.items():
        strange = sorted(set(key.scopes) - set(SCOPES))
        if strange:
            yield f"keys.{name}.scopes: {', '.join(strange)} is none of {', '.join(SCOPES)}"
        if not key.scopes:
            yield f"keys.{name}.scopes: is empty, so that the key may do nothing; name some of {', '.join(SCOPES)}"
        other = known.setdefault(key.sha256.lower(), name)
        if other != name:
            yield f"keys.{name}.sha256: is that of keys.{other} too; make a key for each"
    if auth.jwt is not None:
        yield from _wrong_tokens(auth.jwt)


def _wrong_tokens(jwt: Tokens) -> Iterator[str]:
    asymmetric, symmetric = set(jwt.algorithms) & set(ASYMMETRIC), set(jwt.algorithms) & set(SYMMETRIC)
    strange = sorted(set(jwt.algorithms) - asymmetric - symmetric)
    if strange:
        yield f"jwt.algorithms: {', '.join(strange)} is none of {', '.join(ASYMMETRIC + SYMMETRIC)}"
    elif not jwt.algorithms:
        yield "jwt.algorithms: is empty; name what the issuer signs with, such as RS256"
    if asymmetric and symmetric:
        yield "jwt.algorithms: has secret and public ones, so that a public key could pass for a secret; name one sort"
    if symmetric and (jwt.secret is None or len(jwt.secret.encode()) < _LEAST_SECRET):
        yield f"jwt.secret: {', '.join(sorted(symmetric))} takes one of {_LEAST_SECRET} bytes or more"
    if asymmetric and jwt.jwks is None:
        yield f"jwt.jwks: {', '.join(sorted(asymmetric))} takes the issuer's keys: a URL or a file"
    if jwt.secret is not None and not symmetric:
        yield "jwt.secret: is for HS256 and its like, which jwt.algorithms doesn't name"
    if jwt.jwks is not None and re.match(r"[a-z]+://", jwt.jwks):
        url = urlsplit(jwt.jwks)
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _HERE):
            yield f"jwt.jwks: {jwt.jwks} must begin with https://; who can change what comes over http makes tokens"
