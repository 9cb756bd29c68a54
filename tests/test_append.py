"""The blocking writer against a real server."""

import pytest

from streamproc.append import Appender
from streamproc.errors import ServerError
from tests.support.producing import LogReader
from tests.support.servers import Server


def test_a_batch_that_is_refused_in_part_is_not_appended_at_all(
    server_url: str, server: Server, namespace: str
) -> None:
    log = LogReader(server_url, namespace)
    allowed = log.keys.of("j").log
    assert log.keys.of("k").log != allowed
    log.client.acl_setuser(
        namespace,
        enabled=True,
        passwords=["+pass"],
        keys=[f"{namespace}:meta", allowed],
        categories=["+@all"],
    )
    appender = Appender(f"redis://{namespace}:pass@127.0.0.1:{server.port}/0", namespace, 16)
    batch = [("j", b'{"job":"j","type":"job.started"}'), ("k", b'{"job":"k","type":"job.started"}')]
    try:
        with pytest.raises(ServerError):
            appender.append(batch)
        assert log.entries("j") == []
        assert appender.append(batch[:1]) == {}
        assert log.types("j") == ["job.started"]
    finally:
        appender.disconnect()
        log.client.acl_deluser(namespace)
        log.client.close()
