"""The example pages, on an origin of their own."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from msgspec.structs import replace

from tests.support.browsing import Page, wait_for
from tests.support.gateways import serving
from tests.support.programs import absent, program
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


def test_the_hooks_follow_jobs(page: Page, origin: str, folder: Path, stack: Stack) -> None:
    def npm(*command: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run([program("npm"), *command], cwd=folder / "react", capture_output=True, check=False)

    installed = npm("install", "--no-audit", "--no-fund")
    if installed.returncode:
        absent(f"npm can't install what the example needs: {installed.stderr.decode()}")
    built = npm("run", "build")
    assert built.returncode == 0, built.stderr.decode()
    page.goto(f"{origin}/react/")
    wait_for(page, "document.querySelector('progress')?.value > 40")
    wait_for(page, "document.querySelector('job-progress')?.snapshot")
    report(stack, 60)
    wait_for(page, "document.querySelector('progress').value === 60")
