"""What is read out of a program's output. The samples are what the programs wrote, byte for byte."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.cli.lines import Lines, Tail
from streamproc.cli.outputs import FORMATS, Parser, Progress, ffmpeg, percent_regex

SAMPLES = Path(__file__).parent / "samples" / "outputs"


def read(payload: bytes, parse: Parser, size: int = 1 << 20) -> list[Progress]:
    """What is found in an output that comes in pieces of so many bytes."""
    found: list[Progress] = []

    def line(text: str, _drawn_over: bool) -> None:
        if (progress := parse(text)) is not None:
            found.append(progress)

    lines = Lines(line)
    for start in range(0, len(payload), size):
        lines(payload[start : start + size])
    lines(b"")
    return found


def sample(name: str) -> list[Progress]:
    return read((SAMPLES / name).read_bytes(), FORMATS[name.partition("-")[0]].make())


# Formats -------------------------------------------------------------------------------------------------------------


def test_rsync_tells_percent_and_speed() -> None:
    found = sample("rsync")
    assert [each.percent for each in found] == [0, 20, 40, 43, 60, 80, 87, 100, 100, 100, 100]
    assert found[1].message == "6.80MB/s"


def test_rsync_is_read_with_units_too() -> None:
    assert read(b"\r          1.23G  42%  110.06MB/s    0:00:12\r", FORMATS["rsync"].make()) == [
        Progress(percent=42, message="110.06MB/s")
    ]


def test_ffmpeg_tells_its_share_of_the_duration() -> None:
    assert [round(each.percent or 0, 2) for each in sample("ffmpeg")] == [0, 52.87, 100.01]


def test_ffmpegs_own_progress_is_its_share_of_a_given_duration() -> None:
    payload = (SAMPLES / "ffmpeg-progress").read_bytes()
    assert [round(each.percent or 0, 1) for each in read(payload, ffmpeg(400.0))] == [0, 17.0, 35.0, 50.0, 100]


def test_ffmpeg_without_a_duration_tells_the_seconds_that_are_done() -> None:
    assert [each.done for each in sample("ffmpeg-progress")] == [0, 68, 140, 200, None]


def test_ffmpeg_takes_the_longest_of_its_inputs_unless_it_is_told() -> None:
    lines = b"  Duration: 00:00:10.00, x\n  Duration: 00:01:40.00, x\n  Duration: N/A\nout_time_us=50000000\n"
    assert [each.percent for each in read(lines, ffmpeg())] == [50]
    assert [each.percent for each in read(lines, ffmpeg(200.0))] == [25]


def test_pv_tells_its_numbers_or_its_bar() -> None:
    assert [each.percent for each in sample("pv-n")] == [52, 100]
    assert [each.percent for each in sample("pv")] == [78, 100]


def test_curl_tells_its_meter_and_speed_or_its_bar() -> None:
    found = sample("curl")
    assert [each.percent for each in found] == [None, 9, 53, 92, 100]
    assert found[1].message == "18.8MB/s"
    assert [each.percent for each in sample("curl-bar")] == [9.8, 24.7, 50.6, 65.3, 91.2, 100]


def test_wget_tells_the_file_and_its_dots_or_its_bar() -> None:
    percents = [7, 15, 23, 31, 39, 47, 55, 62, 70, 78, 86, 94, 100]
    assert sample("wget") == [Progress(message="/dev/null"), *(Progress(percent=each) for each in percents)]
    assert [each.percent for each in sample("wget-bar")][1:] == [
        0, 7, 15, 23, 31, 39, 47, 55, 63, 71, 79, 87, 95, 100
    ]  # fmt: skip


def test_apt_downloads_in_the_first_half_and_installs_in_the_second() -> None:
    found = sample("apt")
    assert found[5] == Progress(percent=9.81765, message="Retrieving file 1 of 2")
    assert found[8].percent == 50
    assert found[-1] == Progress(percent=94.44445, message="Installed hello (amd64)")
    percents = [each.percent or 0 for each in found]
    assert percents == sorted(percents)


@given(st.text())
def test_no_line_makes_a_format_fail_or_say_what_can_not_be(line: str) -> None:
    for each in FORMATS.values():
        progress = each.make()(line)
        for number in (progress or Progress())[:3]:
            assert number is None or (math.isfinite(number) and number >= 0)


# Regular expressions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "line", "progress"),
    [
        (r"(\d+)%", "at 42% now", Progress(percent=42)),
        (r"(?P<message>\w+): (\d+)%", "Parse: 42%", Progress(percent=42, message="Parse")),
        (r"\d+ (?P<percent>[\d,.]+)", "7 42,5", Progress(percent=42.5)),
        (r"(?P<done>[\d,]+)/(?P<total>[\d,]+)", "row 1,234/5,000,000", Progress(done=1234, total=5_000_000)),
        (r"(?P<done>\d+)(/(?P<total>\d+))?", "12 rows", Progress(done=12)),
        (r"(\d+)%", "nothing", None),
        (r"(.*)%", "a lot%", None),
        (r"(.*)%", "nan%", None),
        (r"(.*)%", "-3%", None),
        (r"(\d+)%", "9" * 400 + "%", None),
        (r"(\d+)?%", "%", None),
    ],
)
def test_a_regular_expression_finds_the_numbers(pattern: str, line: str, progress: Progress | None) -> None:
    assert percent_regex(pattern)(line) == progress


@pytest.mark.parametrize(
    ("pattern", "said"),
    [(r"(\d+", "isn't a regular expression"), (r"\d+%", "needs a group"), (r"(?P<total>\d+)", "called done")],
)
def test_a_regular_expression_that_can_not_work_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        percent_regex(pattern)


# Lines ---------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 40))
def test_it_does_not_matter_where_the_output_is_cut(size: int) -> None:
    payload = (SAMPLES / "rsync").read_bytes()
    assert read(payload, FORMATS["rsync"].make(), size) == sample("rsync")


def tail(payload: bytes, lines: int = 20, characters: int = 2000) -> str:
    kept = Tail(lines, characters)
    read_lines = Lines(kept.add)
    read_lines(payload)
    read_lines(b"")
    return str(kept)


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"one\ntwo\n", "one\ntwo"),
        (b"one\n\n\ntwo", "one\ntwo"),
        (b"10%\r20%\r30%\nbad\n", "30%\nbad"),
        (b"\r10%\r20%\n", "20%"),
        (b"dos\r\nlines\r\n", "dos\nlines"),
        (b"10%\r    \rgone\n", "gone"),
        (b"\x1b[1;31merror:\x1b[0m \x1b]0;title\x07no\a \x1b(Bway\n", "error: no way"),
        ("größer\xff\n".encode("latin-1"), "gr��er�"),
    ],
)
def test_the_last_lines_are_what_a_terminal_would_show(payload: bytes, shown: str) -> None:
    assert tail(payload) == shown


def test_the_last_lines_are_so_many_and_so_long_at_most() -> None:
    numbers = "".join(f"{number}\n" for number in range(100)).encode()
    assert tail(numbers, lines=3) == "97\n98\n99"
    assert tail(numbers, characters=5) == "98\n99"


def test_an_output_without_line_ends_does_not_fill_the_memory() -> None:
    lengths: list[int] = []
    lines = Lines(lambda line, _: lengths.append(len(line)))
    for _ in range(100):
        lines(b"x" * 65536)
    assert len(lines._rest) < 65536
    lines(b"\n")
    assert lengths == [8192]
