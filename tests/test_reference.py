"""The documents that tell of the gateway: whole, valid, and true."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

import streamproc.gateway
from projections import ESTIMATOR
from projections.effects import EFFECTS
from projections.serving import Job
from streamproc.auth import SCOPES
from streamproc.gateway.app import ROUTES
from streamproc.gateway.reference import dialects
from streamproc.gateway.reference.asyncapi import asyncapi
from streamproc.gateway.reference.openapi import openapi
from streamproc.gateway.reference.operations import OPERATIONS as OWN_OPERATIONS
from streamproc.gateway.reference.page import page
from streamproc.gateway.reference.vocabulary import VOCABULARY
from tests.support.gateways import Service, serving_with_projector
from tests.support.servers import Server

OPERATIONS = {**OWN_OPERATIONS, **dialects.OPERATIONS}
DOCUMENT = openapi(ROUTES, ESTIMATOR.shapes)
ASYNC = asyncapi(ESTIMATOR.shapes)


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref")
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from references(each)


def found(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_every_route_is_in_the_document_and_no_other() -> None:
    routes = {(route.method, route.path) for route in ROUTES if route.method != "WS"}
    assert set(OPERATIONS) == routes


def test_every_operation_has_a_name_of_its_own_and_its_scope() -> None:
    names = [operation.name for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))
    for route in ROUTES:
        if route.method == "WS":
            continue
        operation = DOCUMENT["paths"][re.sub(r":\w+}", "}", route.path)][route.method.lower()]
        assert (operation["security"] == []) is (route.scope is None)
        if route.scope is not None:
            assert route.scope in SCOPES
            assert f"`{route.scope}`" in operation["description"]


@pytest.mark.parametrize("document", [DOCUMENT, ASYNC], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        assert found(document, reference)


def examples() -> Iterator[tuple[str, Any, Any]]:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in content:
                    yield path, content["schema"], content["example"]


@pytest.mark.parametrize(("path", "schema", "example"), list(examples()))
def test_an_example_is_of_the_schema_that_it_stands_by(path: str, schema: Any, example: Any) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(example)


def test_every_type_of_event_is_a_message() -> None:
    assert set(VOCABULARY) == set(EFFECTS)
    assert set(VOCABULARY) <= set(ASYNC["components"]["messages"])
    assert set(ASYNC["channels"]["log"]["messages"]) == set(VOCABULARY)


def test_every_message_of_streams_and_sockets_is_told_of() -> None:
    source = "".join(path.read_text() for path in Path(streamproc.gateway.__path__[0]).glob("*.py"))
    said = set(re.findall(r'\b(?:form|_say|sse_of_many)\(\s*"(\w+)"', source))
    assert {"snapshot", "event", "end", "error", "joined"} <= said
    told = ASYNC["components"]["messages"]
    assert {name for name in said if name not in told and f"frame.{name}" not in told} == set()


def test_every_field_of_what_is_served_is_told_of() -> None:
    job = DOCUMENT["components"]["schemas"]["Job"]
    fields = {field.encode_name for field in msgspec.structs.fields(Job)}
    assert set(job["properties"]) == set(job["required"]) == fields


@pytest.mark.anyio
async def test_what_is_served_is_of_the_types_that_are_told(service: Service) -> None:
    await service.append(
        {"job": "a", "type": "job.started", "kind": "k", "stages": [{"name": "s"}], "labels": {"x": "y"}},
        {"job": "a", "type": "unit.failed", "unit": "u", "error": {"type": "E"}},
        {"job": "a", "type": "job.counted", "indicator": "i", "done": 1, "total": 2},
        {"job": "a", "type": "job.pause_requested"},
        {"job": "a", "type": "job.failed", "error": {"type": "E", "detail": "x"}},
    )
    served = (await service.http.get("/v1/jobs/a")).content
    job = msgspec.json.decode(served, type=Job)
    assert (job.status, job.job_id) == ("failed", "a")
    assert set(json.loads(served)) == {field.encode_name for field in msgspec.structs.fields(Job)}


@pytest.mark.anyio
async def test_the_documents_are_served_to_everybody(service: Service) -> None:
    for path, kind in (
        ("/openapi.json", "application/json"),
        ("/asyncapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/style.css", "text/css; charset=utf-8"),
    ):
        response = await service.http.get(path)
        assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert (await service.http.get("/openapi.json")).json() == json.loads(json.dumps(DOCUMENT))


def test_the_page_tells_of_every_operation_and_loads_nothing_from_elsewhere() -> None:
    html = page(DOCUMENT)
    for operation in OPERATIONS.values():
        assert f'id="{operation.name}"' in html
    assert "<script" not in html
    assert set(re.findall(r'(?:src|href)="([^"]+)"', html)) == {"/docs/style.css", "/openapi.json", "/asyncapi.json"}


def test_the_page_shows_text_and_never_markup_of_others() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    document["info"]["title"] = document["info"]["summary"] = "<script>alert(1)</script>"
    document["paths"]["/livez"]["get"]["summary"] = '"><img src=x>'
    assert "<script" not in page(document)
    assert "<img" not in page(document)


@pytest.mark.anyio
async def test_the_page_is_allowed_its_style_alone(service: Service) -> None:
    policy = (await service.http.get("/docs")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
