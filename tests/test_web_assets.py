"""The files that pages load: all there, small, and nothing beside them."""

import gzip
import re
from pathlib import Path

import httpx
import pytest

from streamproc.gateway.assets import FOLDER
from tests.support.stack import Stack

MODULE = "streamproc.js"
DOCS = Path(__file__).parent.parent / "docs" / "web.md"


def imports(name: str) -> list[str]:
    """What a module imports."""
    return re.findall(r'^(?:import|export) .* from "(.+)";$', (FOLDER / name).read_text(), re.MULTILINE)


def loaded() -> set[str]:
    """The module, and all that comes with it."""
    found, coming = set(), [MODULE]
    while coming:
        name = coming.pop()
        if name not in found:
            found.add(name)
            coming += [source.removeprefix("./") for source in imports(name)]
    return found


def test_the_module_is_under_20_kb_gzipped_with_all_that_it_imports() -> None:
    assert len(loaded()) > 5
    assert sum(len(gzip.compress((FOLDER / name).read_bytes())) for name in loaded()) < 20_000


def test_the_module_imports_nothing_from_elsewhere() -> None:
    for name in loaded():
        assert [source for source in imports(name) if not source.startswith("./")] == []


def test_no_module_makes_markup_of_data() -> None:
    for path in Path(FOLDER).glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()), path


@pytest.mark.parametrize(
    ("name", "kind"), [(MODULE, "text/javascript; charset=utf-8"), ("streamproc.d.ts", "text/plain; charset=utf-8")]
)
def test_a_file_is_served_to_pages_of_all_origins(stack: Stack, name: str, kind: str) -> None:
    response = httpx.get(f"{stack.http}/static/{name}", headers={"origin": "https://elsewhere.example"})
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert response.content == (FOLDER / name).read_bytes()
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-encoding"] == "gzip"


def test_a_file_that_is_the_same_is_not_sent_again(stack: Stack) -> None:
    url = f"{stack.http}/static/{MODULE}"
    tag = httpx.get(url).headers["etag"]
    again = httpx.get(url, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    plain = httpx.get(url, headers={"if-none-match": tag, "accept-encoding": "identity"})
    assert plain.status_code == 200  # other bytes have another tag
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    "path", ["../app.py", "..%2f__init__.py", "%2e%2e/__init__.py", "/etc/passwd", "", "dashboard", "nope.js", "%00"]
)
def test_nothing_else_is_served(stack: Stack, path: str) -> None:
    with httpx.Client() as client:
        request = client.build_request("GET", stack.http)
        request.url = request.url.copy_with(raw_path=f"/static/{path}".encode())
        response = client.send(request)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_the_docs_name_all_by_which_pages_change_the_looks_of_elements() -> None:
    docs = DOCS.read_text()
    styles = "".join((FOLDER / name).read_text() for name in loaded())
    assert set(re.findall(r"--job-[a-z]+", docs)) == set(re.findall(r"--job-[a-z]+", styles))
    named = "|".join(re.findall(r"::part\(([a-z |]+)\)", docs))
    assert {part.strip() for part in named.split("|")} == set(re.findall(r'part: "(\w+)"', styles))


def test_the_docs_name_all_attributes_of_elements() -> None:
    docs = DOCS.read_text()
    source = (FOLDER / MODULE).read_text()
    listed = re.findall(r"(?:FILTERS|observedAttributes) = \[(.*?)\]", source)
    attributes = {name for names in listed for name in re.findall(r'"(\w+)"', names)}
    assert len(attributes) == 12
    rows = "".join(re.findall(r"^\| (`.*?`) \|", docs, re.MULTILINE))
    assert attributes <= set(re.findall(r"`(\w+)`", rows))
