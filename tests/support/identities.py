"""Gateways that ask who one is, and what one says to them."""

import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from streamproc.config import Config
from tests.support.gateways import PARTITIONS, Service, serving, serving_with_projector

__all__ = ["AUDIENCE", "ISSUER", "Signer", "auth_file", "bearer", "guarded", "key_of", "open_to", "toml_key"]

ISSUER = "https://issuer.example"
AUDIENCE = "streamproc"


def key_of(name: str) -> str:
    """The key that `toml_key` has the hash of."""
    return f"sp_{name}_0123456789"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def toml_key(name: str, *scopes: str, **limits: Any) -> str:
    """A key's entry in the file; a limit is a list, `expires` the text of an instant."""
    digest = hashlib.sha256(key_of(name).encode()).hexdigest()
    lines = [f"[keys.{name}]", f'sha256 = "{digest}"', f"scopes = {json.dumps(scopes)}"]
    lines += [f"{limit} = {json.dumps(value) if isinstance(value, list) else value}" for limit, value in limits.items()]
    return "\n".join(lines) + "\n"


def auth_file(folder: Path, *parts: str) -> Path:
    path = folder / "auth.toml"
    path.write_text("\n".join(parts))
    return path


class Signer:
    """An issuer of tokens, with a key of its own."""

    def __init__(self, kid: str = "k1") -> None:
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self) -> dict[str, Any]:
        return ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True) | {"kid": self.kid, "use": "sig"}

    def jwks(self) -> str:
        return json.dumps({"keys": [self.jwk()]})

    def token(self, *, without: str | None = None, **claims: Any) -> str:
        """A token that is good for an hour, but for what the claims say otherwise."""
        return jwt.encode(self.claims(without, **claims), self.private, "ES256", {"kid": self.kid})

    @staticmethod
    def claims(without: str | None = None, **claims: Any) -> dict[str, Any]:
        good = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600, "sub": "ada", "scope": "jobs:read"}
        return {name: value for name, value in (good | claims).items() if name != without}

    def toml(self, folder: Path) -> str:
        """The entry of the file that has these tokens taken."""
        (folder / "keys.json").write_text(self.jwks())
        return f'[jwt]\nalgorithms = ["ES256"]\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\njwks = "keys.json"\n'


@asynccontextmanager
async def open_to(url: str, namespace: str, path: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that lets in whom a file names; there is no projector."""
    config = Config(redis=url, namespace=namespace, partitions=PARTITIONS, port=0, auth_file=path, **settings)
    async with serving(config) as http:
        yield http


@asynccontextmanager
async def guarded(
    url: str, namespace: str, path: Path, **settings: Any
) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """The same with a projector, and an open gateway beside it."""
    async with (
        serving_with_projector(url, namespace) as service,
        open_to(url, namespace, path, **settings) as http,
    ):
        yield service, http
