"""Jobs as the SDK finds them, by the server or by a gateway."""

from datetime import UTC, datetime

import streamproc
from tests.support.stack import Stack


def test_a_running_job_is_found_on_the_server_without_an_estimate_and_on_a_gateway_with_one(
    stack: Stack, job_id: str
) -> None:
    with streamproc.connect(stack.redis, namespace=stack.namespace) as sp, sp.job(job_id, kind="k") as job:
        job.percent(50)
        sp.flush()
        stack.wait_for(job_id, percent=50.0)
        assert sp.find(job_id).eta is None
        with streamproc.connect(stack.http) as client:
            eta = client.find(job_id).eta
    assert eta is not None
    assert eta.finish_at is not None
    assert isinstance(eta.finish_at["p50"], datetime)
    assert (eta.finish_at["p50"].tzinfo, eta.basis, eta.start_at) == (UTC, "rate", None)
