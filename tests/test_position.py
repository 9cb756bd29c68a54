"""Positions and resume tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.errors import InvalidPosition
from streamproc.position import Token, check, key, millis, parse_rfc3339, parse_token, rfc3339

_64_BITS = st.integers(0, 2**64 - 1)


@given(_64_BITS, _64_BITS)
def test_positions_sort_as_the_server_sorts_them(ms: int, seq: int) -> None:
    assert key(check(f"{ms}-{seq}")) == (ms, seq)
    assert millis(f"{ms}-{seq}") == ms


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-2-3", "a-b", "01-1", "1-1\n", f"{2**64}-0", f"0-{2**64}", "1\u0661-0"]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidPosition):
        check(text)


@given(st.text(alphabet="0123456789abcdef", min_size=1, max_size=32), _64_BITS, _64_BITS)
def test_a_token_reads_back(incarnation: str, ms: int, seq: int) -> None:
    token = Token(incarnation, f"{ms}-{seq}")
    assert parse_token(str(token)) == token


@pytest.mark.parametrize("text", ["", "1-1", ".1-1", "xyz.1-1", "ab.1", "ab.1-1.2", "ab.1-1\r\nevent: x"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidPosition):
        parse_token(text)


@given(st.integers(0, 253_402_300_799_999))
def test_times_read_back(ms: int) -> None:
    assert parse_rfc3339(rfc3339(ms)) == ms
