"""The example pages, on an origin of their own."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from msgspec.structs import replace

from tests.support.browsing import Page, expect, wait_for
from tests.support.gateways import serving
from tests.support.producing import wait_until
from tests.support.programs import absent, program
from tests.support.servers import free_port
from tests.support.stack import Stack

WEB = Path(__file__).parent.parent / "examples" / "web"
GATEWAY = "http://127.0.0.1:8700"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(WEB, tmp_path_factory.mktemp("examples") / "web")


@pytest.fixture(scope="module")
def origin(folder: Path) -> Iterator[str]:
    """Serves the pages, from another origin than the gateway's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", autouse=True)
def gateway(stack: Stack, folder: Path, origin: str) -> Iterator[None]:
    """A gateway that they may read, at another port than they say; and a job to show."""
    config = replace(stack.config, cors_origin=(origin,))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(config)) as http:
        for path in folder.rglob("*.html"):
            path.write_text(path.read_text().replace(GATEWAY, str(http.base_url).rstrip("/")))
        report(stack, 41.25)
        yield


def report(stack: Stack, percent: float) -> None:
    job = {"job": "import-42", "type": "job.progressed", "percent": percent}
    httpx.post(f"{stack.http}/v1/events", json=job).raise_for_status()


def test_the_plain_page_shows_its_job_and_all_others(page: Page, origin: str) -> None:
    page.goto(f"{origin}/plain.html")
    wait_for(page, "document.querySelector('job-progress').snapshot?.job_id === 'import-42'")
    wait_for(page, "document.querySelector('job-list').shadowRoot?.querySelector('job-progress')?.snapshot")


def built_by_debian(folder: Path) -> None:
    """React 18, as Debian has it: nothing is fetched."""
    script = json.loads((folder / "package.json").read_text())["scripts"]["build"].split()
    environment = os.environ | {"NODE_PATH": "/usr/share/nodejs"}
    if not Path("/usr/share/nodejs/react-dom/client.js").exists():
        absent("no React on this machine; `apt-get install node-react node-react-dom` brings it")
    built = subprocess.run([program("esbuild"), *script[1:]], cwd=folder, env=environment, capture_output=True)
    assert built.returncode == 0, built.stderr.decode()


def built_by_npm(folder: Path) -> None:
    """The React that the example names, as somebody would who tries it."""

    def npm(*command: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run([program("npm"), *command], cwd=folder, capture_output=True, check=False)

    installed = npm("install", "--no-audit", "--no-fund")
    if installed.returncode:
        pytest.skip(f"npm can't install what the example needs: {installed.stderr.decode()}")
    built = npm("run", "build")
    assert built.returncode == 0, built.stderr.decode()


@pytest.mark.parametrize("build", [built_by_debian, built_by_npm])
def test_the_hooks_follow_jobs(
    page: Page, origin: str, folder: Path, stack: Stack, build: Callable[[Path], None]
) -> None:
    report(stack, 41.25)
    build(folder / "react")
    page.goto(f"{origin}/react/")
    wait_for(page, "document.querySelector('progress')?.value > 40")
    wait_for(page, "document.querySelector('job-progress')?.snapshot")
    report(stack, 60)
    wait_for(page, "document.querySelector('progress').value === 60")


@pytest.fixture
def streamlit(stack: Stack) -> Iterator[str]:
    """The app, and a gateway that its page may read."""
    command = shutil.which("streamlit")
    if command is None:
        pytest.skip("no streamlit on this machine; `pip install streamlit` brings it")
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/_stcore/health").text == "ok"
        return False

    config = replace(stack.config, cors_origin=(url,))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(config)) as http:
        options = ["--server.headless=true", f"--server.port={port}", "--browser.gatherUsageStats=false"]
        environment = os.environ | {"STREAMPROC_URL": str(http.base_url).rstrip("/")}
        app = subprocess.Popen([command, "run", str(WEB.parent / "streamlit_app.py"), *options], env=environment)
        try:
            wait_until(answers)
            yield url
        finally:
            app.terminate()
            app.wait()


def test_the_streamlit_app_shows_jobs(page: Page, streamlit: str, stack: Stack) -> None:
    report(stack, 41.25)
    page.goto(streamlit)
    bar = page.get_by_role("progressbar", name="import-42").first
    expect(bar).to_have_attribute("aria-valuenow", "41.25")
    report(stack, 60)
    expect(bar).to_have_attribute("aria-valuenow", "60")
    page.get_by_role("textbox", name="Job").fill("no-such-job")
    page.keyboard.press("Enter")
    expect(page.get_by_text("There is no such job").first).to_be_visible()
