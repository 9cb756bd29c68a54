import re
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Server, debian_redis, embedded_valkey
from tests.support.stack import Stack, running_stack

if TYPE_CHECKING:
    from tests.support.browsing import Browser, Chromium, Page


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded server; it lives as long as the session, and tests part by their namespaces."""
    running = Server(embedded_valkey(), tmp_path_factory.mktemp("valkey")).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server_url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="session")
def stack(server_url: str) -> Iterator[Stack]:
    """A projector and a gateway over that server; tests part by the names of their jobs."""
    with running_stack(server_url) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Chromium]":
    """The browser; it starts once, and tests part by their pages."""
    from tests.support.browsing import running_chromium  # Playwright may not be installed

    with running_chromium() as running:
        yield running


@pytest.fixture
def browser(chromium: "Chromium") -> "Iterator[Browser]":
    with chromium.at_work() as browser:
        yield browser


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    from tests.support.browsing import opened

    with opened(browser) as page:
        yield page


@pytest.fixture
def namespace() -> str:
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def job_id(request: pytest.FixtureRequest) -> str:
    """A job of the test's own, where tests share a namespace."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", request.node.name)[:150] + secrets.token_hex(4)


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the test's own, that it may stop and start."""
    running = Server(embedded_valkey(), tmp_path_factory.mktemp("own")).start()
    yield running
    running.stop()


@pytest.fixture(scope="session", params=["valkey", "redis"])
def any_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server at hand: what must hold on all of them is tested with this one."""
    binary = embedded_valkey() if request.param == "valkey" else debian_redis()
    if binary is None:
        pytest.skip("no redis-server on this machine; `apt-get install redis-server` brings it")
    running = Server(binary, tmp_path_factory.mktemp(request.param)).start()
    yield running
    running.stop()
