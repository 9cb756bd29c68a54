"""Whatever is sent, the gateway answers as its document says, and never with what broke it."""

import re
from collections.abc import Iterator

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import BaseSchema, Case, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.config import (
    CoveragePhaseConfig,
    GenerationConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from projections import ESTIMATOR
from streamproc.gateway.app import ROUTES
from streamproc.gateway.reference.openapi import openapi
from tests.support.stack import Stack, running_stack

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
GENERATION = GenerationConfig(deterministic=True, database="none", with_security_parameters=False)
SETTINGS = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
LEFT_OUT = "/stream$|^/api/tasks"
"""What has no end, and what is the same under another path."""


def schema(*, coverage: bool = True) -> BaseSchema:
    """The document. With coverage each limit of each field is tried, besides random examples."""
    phases = PhasesConfig(coverage=CoveragePhaseConfig(enabled=coverage))
    project = ProjectConfig(generation=GENERATION, phases=phases)
    config = SchemathesisConfig(projects=ProjectsConfig(default=project))
    return schemathesis.openapi.from_dict(openapi(ROUTES, ESTIMATOR.shapes), config=config).exclude(path_regex=LEFT_OUT)


@schemathesis.serializer("application/x-ndjson")
def lines(context: SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def fuzzed(server_url: str) -> Iterator[Stack]:
    """A stack of its own: claims take whatever job is there. It holds the job that the document's examples name."""
    job = {"job": "import-42", "kind": "import"}
    events = [
        job | {"type": "job.started", "stages": [{"name": "Parse"}]},
        job | {"type": "unit.finished", "unit": "a.pdf"},
        job | {"type": "job.finished", "result": {"rows": 80}},
    ]
    with running_stack(server_url) as stack:
        httpx.post(f"{stack.http}/v1/events", json=events).raise_for_status()
        stack.wait_for("import-42", status="finished")
        yield stack


def check(case: Case, stack: Stack) -> None:
    if isinstance(case.body, dict):
        case.body.pop("wait", None)  # a claim would do so
    for header in ("Prefer", "Idempotency-Key"):  # one waits, and the other is always the same
        (case.headers or {}).pop(header, None)
    case.call_and_validate(base_url=stack.http, checks=CHECKS, timeout=30)


@schema().exclude(path="/v1/events").parametrize()
@hypothesis.settings(max_examples=6, **SETTINGS)
def test_every_answer_is_one_that_the_document_tells_of(case: Case, fuzzed: Stack) -> None:
    check(case, fuzzed)


@schema(coverage=False).include(path="/v1/events").parametrize()
@hypothesis.settings(max_examples=60, **SETTINGS)
def test_whatever_events_are_sent_the_answer_is_one_of_those_told_of(case: Case, fuzzed: Stack) -> None:
    check(case, fuzzed)


@schema(coverage=False).include(method="GET", path_regex="{job}|{kind}").parametrize()
@hypothesis.settings(max_examples=6, **SETTINGS)
def test_what_is_told_of_a_job_is_of_the_types_that_are_told(case: Case, fuzzed: Stack) -> None:
    case.path_parameters = {"job": "import-42", "kind": "import"}
    check(case, fuzzed)


def test_bytes_that_are_no_text_are_refused_by_every_route(fuzzed: Stack) -> None:
    """Random examples are text, and msgspec tells of bytes that are none in an error of another class."""
    for route in ROUTES:
        path = re.sub(r"{\w+}", "import-42", route.path)
        for body in (b'{"\xff":1}', b'{"reason":"\xff","worker":"\xff"}', b'"\xed\xa0\x80"', b'{"params":' * 20_000):
            if route.method == "POST":
                answer = httpx.post(fuzzed.http + path, content=body, headers={"content-type": "application/json"})
                assert answer.status_code < 500, (path, body[:20])
