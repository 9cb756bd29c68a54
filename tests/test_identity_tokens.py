"""Keys and JSON Web Tokens: which are taken, and what is said of those that aren't."""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import jwt
import pytest

from streamproc.gateway.identity import jwks
from tests.support.gateways import serving
from tests.support.identities import ISSUER, Signer, auth_file, bearer, guarded, key_of, open_to, toml_key
from tests.support.servers import free_port

pytestmark = pytest.mark.anyio


def now() -> int:
    return int(time.time())


SECRET = "an issuer's secret of more than 32 bytes"  # noqa: S105


def symmetric(secret: str = SECRET, algorithm: str = "HS256") -> str:
    return f'[jwt]\nalgorithms = ["{algorithm}"]\nissuer = "{ISSUER}"\naudience = "streamproc"\nsecret = "{secret}"\n'


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def by_hand(claims: dict[str, Any], secret: str) -> str:
    """A token by HS256, with a secret that no library would take for one."""
    content = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims)}"
    signature = hmac.digest(secret.encode(), content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def check(response: httpx.Response, why: str) -> None:
    assert response.status_code == 401, why
    assert response.json()["type"] == "urn:streamproc:problem:invalid-token"
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="streamproc", error="invalid_token", error_description="')
    assert why in challenge


async def test_a_good_token_is_taken_and_bad_ones_are_told_apart(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    issuer, stranger = Signer(), Signer()
    good = issuer.claims()
    public = json.dumps(issuer.jwk())
    head, body, signature = issuer.token().split(".")
    forged = ".".join((head, part(good | {"sub": "eve"}), signature))
    bad = {
        issuer.token(exp=now() - 60): "the token has expired",
        issuer.token(nbf=now() + 600): "not valid yet",
        issuer.token(iat=now() + 600): "not valid yet",
        issuer.token(aud="another"): "another audience",
        issuer.token(iss="https://evil.example"): "another issuer",
        issuer.token(without="exp"): "the token has no exp",
        issuer.token(without="aud"): "the token has no aud",
        issuer.token(without="iss"): "the token has no iss",
        issuer.token(exp="soon"): "neither a key nor a token",
        issuer.token(scope=["jobs:read"]): "scope must be strings",
        issuer.token(kinds="import"): "lists of them",
        stranger.token(): "the signature is wrong",
        Signer("unknown").token(): "no such key",
        jwt.encode(good, "", "none"): "algorithm",
        f"{part({'alg': 'none'})}.{part(good)}.": "algorithm",
        f"{part({'alg': 'NONE'})}.{part(good)}.": "algorithm",
        f"{part({'alg': 'ES256', 'kid': 'k1'})}.{part(good)}.": "the signature is wrong",
        f"{part({})}.{part(good)}.": "algorithm",
        by_hand(good, public): "algorithm",  # a public key isn't a secret
        f"{head}.{body}": "neither a key nor a token",
        forged: "the signature is wrong",
        "nonsense": "neither a key nor a token",
    }
    async with open_to(server_url, namespace, auth_file(tmp_path, issuer.toml(tmp_path))) as http:
        assert (await http.get("/v1/jobs", headers=bearer(issuer.token()))).status_code == 200
        for token, why in bad.items():
            check(await http.get("/v1/jobs", headers=bearer(token)), why)


async def test_a_secret_serves_where_it_is_named_and_only_by_its_algorithm(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    claims = Signer.claims()
    async with open_to(server_url, namespace, auth_file(tmp_path, symmetric())) as http:
        good = jwt.encode(claims, SECRET, "HS256")
        assert (await http.get("/v1/jobs", headers=bearer(good))).status_code == 200
        other = jwt.encode(claims, SECRET * 2, "HS512")
        check(await http.get("/v1/jobs", headers=bearer(other)), "algorithm")
        check(await http.get("/v1/jobs", headers=bearer(jwt.encode(claims, SECRET + "!", "HS256"))), "signature")


async def test_clocks_may_differ_by_the_leeway(server_url: str, namespace: str, tmp_path: Path) -> None:
    late = jwt.encode(Signer.claims(exp=now() - 5), SECRET, "HS256")
    path = auth_file(tmp_path, symmetric() + "leeway_seconds = 120\n")
    async with open_to(server_url, namespace, path) as http:
        assert (await http.get("/v1/jobs", headers=bearer(late))).status_code == 200


async def test_scopes_and_limits_are_those_of_the_claims(server_url: str, namespace: str, tmp_path: Path) -> None:
    issuer = Signer()
    async with guarded(server_url, namespace, auth_file(tmp_path, issuer.toml(tmp_path))) as (service, http):
        await service.append(
            {"job": "a-1", "type": "job.queued", "kind": "import", "owner": "ada"},
            {"job": "b-1", "type": "job.queued", "kind": "render", "owner": "ada"},
            {"job": "b-2", "type": "job.queued"},
        )

        async def seen(**claims: Any) -> set[str]:
            headers = bearer(issuer.token(**claims))
            found = set()
            for job in ("a-1", "b-1", "b-2"):
                response = await http.get(f"/v1/jobs/{job}", headers=headers)
                if response.status_code == 200:
                    found.add(job)
                else:
                    assert response.status_code == 404
                    assert response.json()["detail"] == f"there is no job {job}"
            listed = (await http.get("/v1/jobs", headers=headers)).json()["jobs"]
            assert {job["job_id"] for job in listed} == found
            return found

        assert await seen() == {"a-1", "b-1", "b-2"}
        assert await seen(kinds=["import"]) == {"a-1"}
        assert await seen(owners=["ada"]) == {"a-1", "b-1"}
        assert await seen(jobs=["b-*"]) == {"b-1", "b-2"}
        assert await seen(jobs=["b-*"], owners=["ada"]) == {"b-1"}
        assert await seen(jobs=[]) == set()

        log = issuer.token(scope="", scopes=["log:read", "unheard:of"], kinds=["render"])
        lines = (await http.get("/v1/log", headers=bearer(log))).text.splitlines()
        assert [json.loads(line)["event"]["job"] for line in lines] == ["b-1"]
        assert (await http.get("/v1/jobs", headers=bearer(log))).status_code == 403


async def test_kinds_are_told_to_who_sees_all_jobs_of_them(server_url: str, namespace: str, tmp_path: Path) -> None:
    path = auth_file(
        tmp_path,
        toml_key("kind", "jobs:read", kinds=["import"]),
        toml_key("owner", "jobs:read", owners=["ada"]),
        toml_key("all", "jobs:read"),
    )
    async with guarded(server_url, namespace, path) as (service, http):
        for kind in ("import", "render"):
            job = {"job": kind, "kind": kind, "owner": "ada"}
            await service.append(job | {"type": "job.started"}, job | {"type": "job.finished"})
        for name, told in {"kind": {"import"}, "owner": set(), "all": {"import", "render"}}.items():
            headers = bearer(key_of(name))
            assert {kind["kind"] for kind in (await http.get("/v1/kinds", headers=headers)).json()["kinds"]} == told
            for kind in ("import", "render"):
                expected = 200 if kind in told else 404
                assert (await http.get(f"/v1/kinds/{kind}", headers=headers)).status_code == expected


async def test_keys_and_tokens_come_together_and_keys_expire(server_url: str, namespace: str, tmp_path: Path) -> None:
    issuer = Signer()
    path = auth_file(
        tmp_path,
        toml_key("lasting", "jobs:read", expires="2100-01-01T00:00:00Z"),
        toml_key("over", "jobs:read", expires="2020-01-01T00:00:00+02:00"),
        issuer.toml(tmp_path),
    )
    async with open_to(server_url, namespace, path) as http:
        for good in (key_of("lasting"), issuer.token()):
            assert (await http.get("/v1/jobs", headers=bearer(good))).status_code == 200
        check(await http.get("/v1/jobs", headers=bearer(key_of("over"))), "it has expired")
        check(await http.get("/v1/jobs", headers=bearer(key_of("unknown"))), "neither a key nor a token")
        basic = await http.get("/v1/jobs", headers={"authorization": f"Basic {key_of('lasting')}"})
        assert basic.json()["type"].endswith(":unauthenticated")


async def test_what_is_no_good_hinders_nobody_who_needs_nothing(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    async with open_to(server_url, namespace, auth_file(tmp_path, toml_key("k", "jobs:read"))) as http:
        assert (await http.get("/livez", headers=bearer("wrong"))).status_code == 200


async def test_a_gateway_that_lets_everybody_in_minds_no_token(server_url: str, namespace: str) -> None:
    from streamproc.config import Config

    async with serving(Config(redis=server_url, namespace=namespace, port=0)) as http:
        assert (await http.get("/v1/jobs", headers=bearer("whatever"))).status_code == 200


class Published:
    """An issuer's keys behind a URL, and how often they were asked for."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.asked = 0
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body = json.dumps({"keys": [signer.jwk() for signer in self.signers]}).encode()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
    issuer = Published(Signer("k1"))
    original = httpx.AsyncClient

    def client(**attributes: Any) -> httpx.AsyncClient:
        return original(transport=httpx.ASGITransport(issuer))

    monkeypatch.setattr(jwks.httpx, "AsyncClient", client)
    return issuer


async def test_keys_behind_a_url_are_read_once_and_again_for_one_unknown(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = jwks.KeySet("https://issuer.example/keys")
    for _ in range(3):
        assert await keys.key("k1", "ES256") is not None
    assert published.asked == 1

    published.signers = [Signer("k2")]
    for _ in range(20):
        assert await keys.key("k2", "ES256") is None  # too soon after the last reading
    assert published.asked == 1
    monkeypatch.setattr(jwks, "_LEAST_SECONDS", 0.0)
    assert await keys.key("k2", "ES256") is not None
    assert await keys.key("k1", "ES256") is None, "a key that the issuer took back"
    assert published.asked == 3


async def test_many_who_need_the_keys_at_once_read_them_once(published: Published) -> None:
    keys = jwks.KeySet("https://issuer.example/keys")
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(keys.key, f"k{number}", "ES256")
    assert published.asked == 1


async def test_keys_that_are_known_serve_while_the_issuer_is_away(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_LEAST_SECONDS", 0.0)
    keys = jwks.KeySet("https://issuer.example/keys")
    assert await keys.key("k1", "ES256") is not None
    published.status = 500
    assert await keys.key("unknown", "ES256") is None
    assert await keys.key("k1", "ES256") is not None


async def test_without_the_issuers_keys_it_says_to_come_again(server_url: str, namespace: str, tmp_path: Path) -> None:
    issuer = Signer()
    toml = issuer.toml(tmp_path).replace("keys.json", f"http://127.0.0.1:{free_port()}/keys")
    async with open_to(server_url, namespace, auth_file(tmp_path, toml)) as http:
        response = await http.get("/v1/jobs", headers=bearer(issuer.token()))
        assert (response.status_code, response.headers["retry-after"]) == (503, "10")


async def test_a_key_of_another_use_or_algorithm_or_a_secret_among_them_checks_nothing(tmp_path: Path) -> None:
    good = Signer("good").jwk()
    bad = [
        good | {"kid": "enc", "use": "enc"},
        good | {"kid": "other", "alg": "ES384"},
        {"kid": "secret", "kty": "oct", "k": part("x" * 40)},
        {"kid": "nonsense", "kty": "EC"},
    ]
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [*bad, good]}))
    keys = jwks.KeySet(str(path))
    for kid in ("enc", "other", "secret", "nonsense"):
        assert await keys.key(kid, "ES256") is None, kid
    assert await keys.key("secret", "HS256") is None
    assert await keys.key("good", "ES256") is not None
    assert await keys.key(None, "ES256") is not None, "the only one there is for it"
