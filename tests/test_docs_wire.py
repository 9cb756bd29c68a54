"""docs/wire.md says what the code does: its examples, tables, limits, and the partition in each language."""

import json
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from projections.effects import EFFECTS
from projections.stages import MAX_STAGES
from projections.stalls import Stalls, patience
from projections.units import MAX_INDICATORS
from streamproc.errors import InvalidEvent
from streamproc.events import DECISIONS, Event, Mark
from streamproc.gateway.bodies import MAX_BODY_BYTES, MAX_EVENTS
from streamproc.projection import Silence
from streamproc.wire import MAX_DEPTH, MAX_EVENT_BYTES, decode, partition_of
from tests.support.programs import program
from tests.support.reports import Reports

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "wire.md"
PRODUCERS = ROOT / "examples" / "producers"
TEXT = PAGE.read_text()


def section(title: str) -> str:
    """What stands under a heading, up to the next."""
    match = re.search(rf"^#+ {title}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert match is not None, title
    return match[1]


def rows(title: str, table: int = 0) -> list[list[str]]:
    """The cells of a table under a heading, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", section(title), re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables[table].splitlines()[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def events(text: str) -> Iterator[dict[str, Any]]:
    """The events that stand in a text, in JSON blocks and in commands."""
    for match in re.finditer(r'\{"job":', text):
        yield json.JSONDecoder().raw_decode(text, match.start())[0]


def reported(text: str) -> Reports:
    """A job of which the events in a text have been reported."""
    job = Reports()
    job.report([event | {"job": "j"} for event in events(text)])
    return job


# Examples --------------------------------------------------------------------------------------------------------


def test_every_event_of_the_page_is_one() -> None:
    found = list(events(TEXT))
    assert len(found) >= 14
    for event in found:
        decode(json.dumps(event).encode())


def test_the_whole_job_gives_the_snapshot_that_is_shown_and_both_ends() -> None:
    story, shown, ends = re.findall(r"```json\n(.*?)```", section("A whole job"), re.DOTALL)
    snapshot = reported(story).now
    expected = json.loads(shown) | {"job_id": "j"}
    assert {name: snapshot[name] for name in expected} == expected
    finished, failed = (reported(story + end).now for end in ends.splitlines())
    assert (finished["status"], finished["percent"], finished["result"]) == ("finished", 100.0, {"rows": 80})
    assert (failed["status"], failed["percent"]) == ("failed", 62.5)


def test_a_new_attempt_of_a_unit_takes_back_what_the_last_one_counted() -> None:
    assert "the counter says 1 of 9" in section("Attempts")
    assert reported(section("Attempts")).counters == {"pages": (1, 9)}


def test_the_reason_that_is_shown_is_one_that_is_given() -> None:
    with pytest.raises(InvalidEvent) as raised:
        decode(b'{"job":"a","type":"job.progressed","percent":"fifty"}')
    assert f"```\n{raised.value}\n```" in TEXT


# Tables ----------------------------------------------------------------------------------------------------------


def test_every_type_of_event_is_listed_and_no_other() -> None:
    listed = [name for row in rows("Types") for name in names(row[0])]
    assert sorted(listed) == sorted(EFFECTS)
    assert set(names(rows("Types")[-1][0])) == DECISIONS


def test_every_field_of_an_event_is_listed_and_no_other() -> None:
    listed = [names(row[0])[0] for row in rows("The event")]
    assert sorted(listed) == sorted(Event.__struct_fields__)
    assert {name for row in rows("Types") for name in names(row[1])} <= set(listed)


def test_every_mark_is_listed_and_no_other() -> None:
    assert [names(row[0])[0] for row in rows("Reading back")] == list(Mark)


def test_the_statuses_are_those_that_events_lead_to() -> None:
    verbs = ["queued", "started", "progressed", "paused", "finished", "failed", "canceled"]
    reached = [Reports()(f"job.{verb}")["status"] for verb in verbs]
    assert names(section("Statuses"))[: len(reached)] == reached


def test_the_silence_that_is_too_long_is_the_one_that_is_told_of() -> None:
    text = " ".join(section("Silence").split())
    assert "three times" in text
    assert "(19 in 20), and at least 30 s; it is 5 min where fewer than 5 such runs" in text
    assert [patience([20_000] * 19 + [90_000]), patience([0] * 5), patience([0] * 4)] == [60_000, 30_000, 300_000]
    job = Silence("import-42", None, 1, since=0, heard=115_000, usual=0)
    assert f"`{Stalls().event(job, 120_000).reason}`" in text
    assert "`no sign of life for 45 s`" in text
    assert Stalls().event(job, 160_000).reason == "no sign of life for 45 s"


# Limits ----------------------------------------------------------------------------------------------------------

LIMITS = {names(row[0])[0]: (row[1], row[2]) for row in rows("The event")}
TEXTS = [field for field, (_, limit) in LIMITS.items() if re.match(r"[\d,]+ to [\d,]+ characters", limit)]
NUMBERS = [field for field, (_, limit) in LIMITS.items() if re.fullmatch(r"[-\d,]+ to [\d,]+", limit)]
NAMES = [field for field, (kind, _) in LIMITS.items() if kind == "name"]
OTHERS = {"at", "details", "percent", "labels", "stages", "params", "result", "error", "lease_seconds"}


def accepted(**fields: Any) -> bool:
    event = {"job": "a", "type": "job.noted", "src": "s"} | fields
    try:
        decode(json.dumps(event).encode())
    except InvalidEvent:
        return False
    return True


def numbers(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"-?\d[\d,]*", text)]


@pytest.mark.parametrize("field", TEXTS)
def test_a_text_is_refused_beyond_its_limit(field: str) -> None:
    least, most = numbers(LIMITS[field][1])[:2]
    assert accepted(**{field: "x" * most})
    assert not accepted(**{field: "x" * (most + 1)})
    assert accepted(**{field: ""}) == (least == 0)
    assert accepted(**{field: "x" * least})


@pytest.mark.parametrize("field", NAMES)
def test_a_name_is_refused_with_a_control_character(field: str) -> None:
    assert not accepted(**{field: "a\u0007b"})


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_is_refused_beyond_its_limits(field: str) -> None:
    kind, limit = LIMITS[field]
    least, most = numbers(limit)
    assert accepted(**{field: least})
    assert accepted(**{field: most})
    assert not accepted(**{field: least - 1})
    assert not accepted(**{field: most + 1})
    assert accepted(**{field: 1.5}) == (kind == "number")


def test_every_field_has_a_limit_that_is_held_here() -> None:
    assert {*TEXTS, *NUMBERS, *OTHERS} == LIMITS.keys()


def test_an_object_is_refused_beyond_its_limits() -> None:
    most, length = numbers(LIMITS["labels"][1])
    assert accepted(labels={str(key): "x" * length for key in range(most)})
    assert not accepted(labels={str(key): "x" for key in range(most + 1)})
    assert not accepted(labels={"x": "x" * (length + 1)})
    (most,) = numbers(LIMITS["stages"][1])
    assert accepted(stages=[{"name": str(key)} for key in range(most)])
    assert not accepted(stages=[{"name": str(key)} for key in range(most + 1)])
    kind, detail = numbers(LIMITS["error"][1])
    assert accepted(error={"type": "x" * kind, "detail": "x" * detail})
    assert not accepted(error={"type": "x" * (kind + 1)})
    assert not accepted(error={"type": "x", "detail": "x" * (detail + 1)})


def test_the_limits_of_an_event_a_job_and_a_request_are_those_of_the_code() -> None:
    words = " ".join(TEXT.split())
    assert f"at most {MAX_EVENT_BYTES:,} bytes, and nested at most {MAX_DEPTH} deep" in words
    assert f"at most {MAX_STAGES:,} stages and {MAX_INDICATORS:,} counters" in words
    assert f"at most {MAX_BODY_BYTES // 2**20} MiB and {MAX_EVENTS:,} events" in words


# Partitions ------------------------------------------------------------------------------------------------------

IDS = {names(row[0])[0]: [int(cell) for cell in row[1:]] for row in rows("Partitions", 1)}
PROGRAMS = {
    "Python": ("python3", "p.py", "import sys, zlib; n = 7; print([FIRST for job in sys.argv[1:]])"),
    "Node": ("node", "p.cjs", "zlib = require('zlib'); n = 7; console.log(process.argv.slice(2).map((job) => FIRST))"),
    "PHP": ("php", "p.php", "<?php $n = 7; echo json_encode(array_map(fn($job) => FIRST, array_slice($argv, 1)));"),
    "Ruby": ("ruby", "p.rb", "require 'zlib'; n = 7; p(ARGV.map { |job| FIRST })"),
    "Go": (
        "go run",
        "p.go",
        """package main
        import ("encoding/json"; "hash/crc32"; "os")
        func main() {
            n, found := 7, []uint32{}
            for _, job := range os.Args[1:] { found = append(found, FIRST) }
            json.NewEncoder(os.Stdout).Encode(found)
        }""",
    ),
    "Java": (
        "java",
        "P.java",
        """class P { public static void main(String[] ids) {
            var n = 7; var found = new java.util.ArrayList<Long>();
            for (var job : ids) { var crc = new java.util.zip.CRC32(); FIRST; found.add(SECOND); }
            System.out.println(found);
        } }""",
    ),
}
"""For each language: what runs it, a file's name, and a program around the first and second code of its row."""


def test_the_partitions_that_are_shown_are_those_of_the_jobs() -> None:
    assert {job: [partition_of(job, 16), partition_of(job, 7)] for job in IDS} == IDS
    assert len(IDS) >= 5


@pytest.mark.parametrize("row", rows("Partitions"), ids=lambda row: row[0])
def test_what_is_written_of_a_language_computes_the_partition_in_it(row: list[str], tmp_path: Path) -> None:
    runner, file, source = PROGRAMS[row[0]]
    first, second, *_ = [*names(row[1]), ""]
    (tmp_path / file).write_text(source.replace("FIRST", first).replace("SECOND", second))
    interpreter, *options = runner.split()
    command = [program(interpreter), *options, str(tmp_path / file), *IDS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [of_7 for _, of_7 in IDS.values()]


def test_the_check_value_is_that_of_this_crc() -> None:
    assert f'(`crc32("123456789")`\nis `{zlib.crc32(b"123456789"):x}` in hexadecimal)' in TEXT


# Links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [PAGE, PRODUCERS / "README.md"], ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text())
    assert links
    for file, anchor in links:
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), file
        if anchor:
            assert anchor in [
                heading.lower().replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            ]


def test_every_program_is_in_the_list_that_says_how_to_run_it() -> None:
    listed = re.findall(r"^\| \[([^]]*)\]", (PRODUCERS / "README.md").read_text(), re.MULTILINE)
    kinds = ("sh", "js", "php", "rb", "go", "java")
    written = [path.relative_to(PRODUCERS) for kind in kinds for path in PRODUCERS.rglob(f"*.{kind}")]
    assert sorted(listed) == sorted(str(path) for path in written if "node_modules" not in path.parts)
