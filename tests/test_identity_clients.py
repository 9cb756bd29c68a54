"""The SDK and the commands at gateways that ask who they are; and the file that says who may."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

import streamproc
from streamproc.auth import read_auth
from streamproc.client import http_settings
from streamproc.config import Config
from streamproc.errors import ConfigError, ServerError
from tests.support.commands import run_command
from tests.support.gateways import PARTITIONS, serving
from tests.support.identities import Signer, auth_file, key_of, toml_key
from tests.support.stack import Stack


class Guarded:
    """A gateway beside the stack's, that asks."""

    def __init__(self, url: str, issuer: Signer) -> None:
        self.url = url
        self.issuer = issuer


@pytest.fixture(scope="module")
def guarded(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder, issuer = tmp_path_factory.mktemp("auth"), Signer()
    path = auth_file(
        folder,
        toml_key("worker", "events:write", "jobs:read"),
        toml_key("writer", "events:write"),
        toml_key("reader", "jobs:read"),
        toml_key("renderer", "events:write", "jobs:read", kinds=["render"]),
        issuer.toml(folder),
    )
    config = Config(redis=stack.redis, namespace=stack.namespace, partitions=PARTITIONS, port=0, auth_file=path)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(config)) as http:
        yield Guarded(str(http.base_url).rstrip("/"), issuer)


@pytest.mark.parametrize("who", ["worker", "writer", "token"])
def test_the_sdk_reports_with_a_key_or_a_token(guarded: Guarded, stack: Stack, job_id: str, who: str) -> None:
    given = guarded.issuer.token(scope="events:write jobs:read") if who == "token" else key_of(who)
    with streamproc.connect(guarded.url, token=given) as sp, sp.job(job_id) as job:
        job.percent(50)
    stack.wait_for(job_id, status="finished")


def test_the_sdk_says_that_it_is_not_let_in(guarded: Guarded) -> None:
    for token, said in ((None, "wants a token or key"), ("wrong", "neither a key nor a token")):
        with pytest.raises(ServerError, match=rf"refuses us \(401\): .*{said}.*; set token=, or STREAMPROC_TOKEN"):
            streamproc.connect(guarded.url, token=token)


def test_an_event_about_a_job_of_others_is_left_out_and_named(
    guarded: Guarded, stack: Stack, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with streamproc.connect(guarded.url, token=key_of("renderer")) as sp:
        with sp.job(job_id + "a", kind="import"):
            pass
        with sp.job(job_id + "b", kind="render"):
            pass
    stack.wait_for(job_id + "b", status="finished")
    assert stack.snapshot(job_id + "a") == {}
    assert f"there is no job {job_id}a" in caplog.text


def test_commands_say_who_they_are_by_a_variable(guarded: Guarded, stack: Stack, job_id: str) -> None:
    given = {"STREAMPROC_URL": guarded.url}
    event = ("emit", "job.started", "--job", job_id)
    assert run_command(*event, **given, STREAMPROC_TOKEN=key_of("writer")).returncode == 0
    stack.wait_for(job_id, status="started")
    nobody = run_command("jobs", **given)
    assert nobody.returncode == 2
    hint = f"set STREAMPROC_TOKEN to a key or token for {guarded.url}"
    assert nobody.stderr == f"Error: this gateway wants a token or key: Authorization: Bearer …; {hint}\n"
    reader = run_command(*event, **given, STREAMPROC_TOKEN=key_of("reader"))
    assert (reader.returncode, reader.stderr) == (2, "Error: this takes the scope events:write\n")


def test_a_token_that_no_header_can_hold_is_named() -> None:
    with pytest.raises(ConfigError, match="STREAMPROC_TOKEN: must be printable ASCII"):
        http_settings("http://127.0.0.1:1", "two\nlines")


def test_a_key_that_is_made_lets_in_whoever_holds_it(tmp_path: Path) -> None:
    made = run_command("key", "ci", "--scope", "jobs:read", "--scope", "claims", "--job", "a-*", "--days", "2")
    path = auth_file(tmp_path, made.stdout)
    [(name, key)] = read_auth(path).keys.items()
    assert (name, key.scopes, key.jobs, key.kinds) == ("ci", ("jobs:read", "claims"), ("a-*",), None)
    assert key.expires is not None
    assert 0 < key.expires.timestamp() - time.time() <= 2 * 86_400
    from streamproc.gateway.identity.keyring import Keyring

    found = Keyring({name: key}).find(made.stderr.rpartition(" ")[2].strip())
    assert found is not None
    assert found.name == "ci"


JWT = '[jwt]\nissuer = "i"\naudience = "a"\n'
SIGNED = f'secret = "{"0123456789abcdef" * 2}"\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "neither keys nor jwt.*`streamproc key NAME`"),
        ("[keys", "is not TOML"),
        ('[keys.a]\nscopes = ["jobs:read"]', "keys.*missing required field `sha256`"),
        ('[keys.a]\nsha256 = "abc"\nscopes = ["jobs:read"]', "64 hexadecimal digits.*`streamproc key`"),
        (toml_key("a"), "keys.a.scopes: is empty"),
        (toml_key("a", "jobs:write"), "keys.a.scopes: jobs:write is none of events:write, jobs:read"),
        (toml_key("a", "admin", kind=["b"]), "unknown field `kind`"),
        (toml_key("a", "admin", expires="2030-01-01T00:00:00"), "timezone"),
        (toml_key("a", "admin") + toml_key("a", "admin").replace(".a]", ".b]"), "keys.b.sha256: is that of keys.a too"),
        ('secret = "short"\n' + toml_key("a", "admin"), "secret: must be 32 bytes or more"),
        (JWT + "algorithms = []", "jwt.algorithms: is empty"),
        (JWT + 'algorithms = ["none"]', "jwt.algorithms: none is none of RS256"),
        (JWT + 'algorithms = ["RS256"]', "jwt.jwks: RS256 takes the issuer's keys"),
        (JWT + 'algorithms = ["RS256"]\njwks = "http://i.example/keys"', "jwt.jwks: .* must begin with https://"),
        (JWT + 'algorithms = ["RS256"]\njwks = "k.json"\n' + SIGNED, "jwt.secret: is for HS256"),
        (JWT + 'algorithms = ["HS256"]\nsecret = "short"', "jwt.secret: HS256 takes one of 32 bytes or more"),
        (JWT + 'algorithms = ["HS256", "RS256"]\njwks = "k.json"\n' + SIGNED, "secret and public ones"),
        (JWT.replace("audience", "aud") + 'algorithms = ["RS256"]', "jwt: "),
    ],
)
def test_a_file_that_cannot_work_is_refused_by_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    path = auth_file(tmp_path, content)
    with pytest.raises(ConfigError, match=rf"^auth_file: .*auth.toml.*{said}"):
        read_auth(path)


def test_all_that_is_wrong_with_a_file_is_named_at_once(tmp_path: Path) -> None:
    path = auth_file(tmp_path, 'secret = "short"', toml_key("a"), toml_key("b", "everything"))
    with pytest.raises(ConfigError) as refused:
        read_auth(path)
    assert len(str(refused.value).splitlines()) == 3


def test_a_gateway_does_not_start_with_a_file_that_cannot_work(tmp_path: Path) -> None:
    path = auth_file(tmp_path, "[keys")
    ended = run_command("gateway", "--auth-file", str(path), "--redis", "redis://127.0.0.1:1/0")
    assert (ended.returncode, "is not TOML" in ended.stderr) == (2, True)


def test_with_a_file_a_gateway_may_listen_anywhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--auth-file"):
        Config(host="192.0.2.1").check()
    Config(host="192.0.2.1", auth_file=auth_file(tmp_path, toml_key("a", "admin"))).check()
