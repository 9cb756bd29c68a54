"""The command line's reading, writing and checking, against a running gateway; and its settings."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from click.testing import CliRunner, Result

from streamproc.cli import main
from tests.support.commands import Up, environment, run_command, start_up
from tests.support.servers import Server


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with start_up(tmp_path_factory.mktemp("up") / "data", "--stall-seconds", "quick one=1") as running:
        yield running


@pytest.fixture
def job(namespace: str) -> str:
    """The id of a job that no other test has."""
    return f"job-{namespace}"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def emit(up: Up, *events: dict[str, Any]) -> None:
    """Append events, and wait until they are folded."""
    done = up.command("emit", "-", "--json", input="\n".join(map(json.dumps, events)))
    assert done.returncode == 0, done.stderr
    last = {where["job"]: where["position"] for where in map(json.loads, done.stdout.splitlines())}

    with httpx.Client(base_url=up.gateway, trust_env=False) as http:
        for job, position in last.items():
            wait_for(lambda: position in http.get(f"/v1/jobs/{job}").text, "folding")  # noqa: B023 - called at once


# emit ----------------------------------------------------------------------------------------------------------------


def test_emit_reads_values_as_json_where_they_are_and_as_text_where_not(up: Up, job: str) -> None:
    done = up.command(
        "emit", "job.progressed", "--job", job, "percent=50", "message=half way", 'details={"row":1}', "--json"
    )
    where = json.loads(done.stdout)
    assert where["job"] == job
    (line,) = wait_history(up, job, 1)
    assert line["position"] == where["position"]
    assert line["event"] == {
        "job": job,
        "type": "job.progressed",
        "percent": 50,
        "message": "half way",
        "details": {"row": 1},
    }


def wait_history(up: Up, job: str, count: int) -> list[dict[str, Any]]:
    wait_for(lambda: len(up.command("replay", job).stdout.splitlines()) == count, f"{count} events")
    return [json.loads(line) for line in up.command("replay", job).stdout.splitlines()]


def test_emit_names_the_lines_that_are_refused_and_writes_nothing_of_them(up: Up, job: str) -> None:
    good = json.dumps({"job": job, "type": "job.started"})
    bad = json.dumps({"job": job, "type": "job.progressed", "percent": "x"})
    done = up.command("emit", "-", input=f"{good}\n\n{bad}\n{{\n")
    assert done.returncode == 2
    assert "line 3: percent:" in done.stderr
    assert "line 4: is not JSON" in done.stderr
    assert up.command("show", job).returncode == 4


def test_emit_says_how_many_events_came_before_a_refused_line(up: Up, job: str) -> None:
    good = json.dumps({"job": job, "type": "job.noted"})
    done = up.command("emit", "-", input=f"{good}\n" * 2500 + "[]\n")
    assert done.returncode == 2
    assert "line 2501:" in done.stderr
    before = int(done.stderr.splitlines()[-1].split()[0].replace(",", ""))
    assert len(wait_history(up, job, before)) == before


def test_emit_refuses_an_event_that_is_the_servers_to_write(up: Up, job: str) -> None:
    done = up.command("emit", "job.claimed", "--job", job)
    assert done.returncode == 2
    assert "job.claimed is for the server alone" in done.stderr


def test_emit_refuses_a_line_without_end_before_it_fills_the_memory(up: Up) -> None:
    done = up.command("emit", "-", input=b"x" * 1_000_000)
    assert done.returncode == 2
    assert "line 1: an event is at most 65,536 bytes" in done.stderr


def test_emit_appends_what_a_pipe_brings_before_it_closes(up: Up, job: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", "emit", "-", "--url", up.gateway],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"job": job, "type": "job.started"}).encode() + b"\n")
        process.stdin.flush()
        wait_for(lambda: up.command("show", job).returncode == 0, "the first event")
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["emit", "job.started"], "Give --job"),
        (["emit", "job.started", "--job", "a", "percent"], "must be FIELD=VALUE"),
        (["emit", "-", "--job", "a"], "come from stdin"),
    ],
)
def test_emit_says_what_is_missing(arguments: list[str], said: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


# jobs, show, watch, replay -------------------------------------------------------------------------------------------


def test_jobs_lists_the_newest_first_over_several_pages(up: Up, namespace: str) -> None:
    ids = [f"{namespace}-{number}" for number in range(450)]
    emit(up, *({"job": each, "type": "job.queued", "kind": namespace} for each in ids))
    listed = [
        json.loads(line)
        for line in up.command("jobs", "--kind", namespace, "--json", "--limit", "450").stdout.splitlines()
    ]
    assert {each["job_id"] for each in listed} == set(ids)
    times = [each["created_at"] for each in listed]
    assert times == sorted(times, reverse=True)
    fewer = up.command("jobs", "--kind", namespace, "--json", "--limit", "7").stdout.splitlines()
    assert [json.loads(line)["job_id"] for line in fewer] == [each["job_id"] for each in listed[:7]]


def test_jobs_filters_by_status(up: Up, namespace: str) -> None:
    emit(
        up,
        {"job": f"{namespace}-a", "type": "job.started", "kind": namespace},
        {"job": f"{namespace}-b", "type": "job.finished", "kind": namespace},
    )
    found = up.command("jobs", "--status", "finished", "--limit", "1000", "--json").stdout.splitlines()
    ids = [json.loads(line)["job_id"] for line in found]
    assert f"{namespace}-b" in ids
    assert f"{namespace}-a" not in ids


def test_jobs_filters_sorts_and_searches(up: Up, namespace: str) -> None:
    a, b, worker = f"{namespace}-a", f"{namespace}-b", f"w {namespace}"
    emit(
        up,
        {"job": a, "type": "job.queued", "title": "Import of April", "labels": {"env": "prod"}, "owner": "ann"},
        {"job": b, "type": "job.queued", "title": "Import of May", "labels": {"env": "test"}, "owner": "ann"},
        {"job": b, "type": "job.started", "worker": worker},
        {"job": a, "type": "job.failed", "worker": worker},
    )

    def listed(*arguments: str) -> list[str]:
        found = invoke("jobs", "--url", up.gateway, "--search", namespace, "--json", *arguments)
        assert found.exit_code == 0, found.stderr
        return [json.loads(line)["job_id"] for line in found.stdout.splitlines()]

    assert sorted(listed()) == [a, b]
    assert listed("--sort", "-finished") == [a]
    assert listed("--label", "env=prod", "--owner", "ann") == [a]
    assert sorted(listed("--worker", worker, "--status", "failed", "--status", "started")) == [a, b]
    assert listed("--search", f"{namespace} MAY") == [b]


def test_jobs_says_where_there_are_none(up: Up, namespace: str) -> None:
    nothing = invoke("jobs", "--url", up.gateway, "--search", f"{namespace}nothing")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no job is as asked for" in nothing.stderr
    assert invoke("jobs", "--url", up.gateway, "--search", f"{namespace}nothing", "--json").output == ""
    refused = invoke("jobs", "--url", up.gateway, "--label", "env")
    assert refused.exit_code == 2
    assert "--label env: must be NAME=VALUE" in refused.stderr


def test_show_at_a_moment_shows_the_job_as_it_was(up: Up, job: str) -> None:
    for percent in (10, 20):
        emit(up, {"job": job, "type": "job.progressed", "percent": percent})
    first = json.loads(invoke("replay", job, "--url", up.gateway).stdout.splitlines()[0])
    for moment in (first["position"], first["time"]):
        then = json.loads(invoke("show", job, "--url", up.gateway, "--at", moment, "--json").stdout)
        assert (then["percent"], then["position"]) == (10, first["position"])
    assert "10.0" in invoke("show", job, "--url", up.gateway, "--at", first["position"]).stdout
    before = invoke("show", job, "--url", up.gateway, "--at", "2020-01-01T00:00:00Z")
    assert (before.exit_code, before.stderr) == (4, f"Error: there was no job {job} yet at 2020-01-01T00:00:00Z\n")
    assert "RFC 3339" in invoke("show", job, "--url", up.gateway, "--at", "yesterday").stderr


def test_jobs_lists_those_that_have_been_silent_for_longer_than_a_setting_allows(up: Up, namespace: str) -> None:
    silent, other = f"{namespace}-silent", f"{namespace}-other"
    emit(up, {"job": silent, "type": "job.started", "kind": "quick one"}, {"job": other, "type": "job.started"})
    wait_for(lambda: silent in up.command("jobs", "--stalled").stdout, "the stall")
    (row,) = up.command("jobs", "--stalled", "--kind", "quick one").stdout.splitlines()[1:]
    assert "started, stalled" in row
    assert "stalled: no progress since" in up.command("show", silent).stdout
    listed = [json.loads(line)["job_id"] for line in up.command("jobs", "--stalled", "--json").stdout.splitlines()]
    assert silent in listed
    assert other not in listed


def test_the_table_of_jobs_has_their_bars_and_no_escape_of_a_message(up: Up, job: str) -> None:
    emit(up, {"job": job, "type": "job.progressed", "percent": 42.5, "message": "\x1b]0;title\x07[red]row"})
    (row,) = [line for line in up.command("jobs").stdout.splitlines() if job in line]
    assert "42.5" in row
    assert "━" in row
    assert "\x1b" not in row
    assert "[red]row" in row


def test_show_tells_stages_units_and_indicators(up: Up, job: str) -> None:
    emit(
        up,
        {"job": job, "type": "job.started", "stages": [{"name": "Read"}, {"name": "Write"}]},
        {"job": job, "type": "stage.failed", "stage": "Read", "error": {"type": "OSError", "detail": "disk gone"}},
        {"job": job, "type": "unit.finished", "unit": "a.pdf", "stage": "Write"},
        {"job": job, "type": "unit.added", "unit": "b.pdf", "stage": "Write"},
        {"job": job, "type": "job.counted", "indicator": "bytes", "done": 1000, "total": 2000},
    )
    shown = up.command("show", job).stdout
    for fact in ("Read", "OSError: disk gone", "units: 1 pending, 1 finished of 2", "bytes: 1,000/2,000", "5 events"):
        assert fact in shown


@pytest.mark.parametrize("command", ["show", "watch", "replay"])
def test_a_job_that_does_not_exist_is_exit_code_4(up: Up, command: str) -> None:
    done = up.command(command, "no-such-job")
    assert done.returncode == 4
    assert done.stderr.startswith("Error: there is no job no-such-job")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("ending", "code"), [("finished", 0), ("failed", 1), ("canceled", 1)])
def test_watch_ends_with_the_job_and_tells_how_by_its_exit_code(up: Up, job: str, ending: str, code: int) -> None:
    emit(up, {"job": job, "type": "job.progressed", "percent": 10})
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", "watch", job, "--json", "--url", up.gateway],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["percent"] == 10
        emit(up, {"job": job, "type": f"job.{ending}"})
        rest = [json.loads(line) for line in process.stdout]
        assert rest[-1]["status"] == ending
        assert process.wait(30) == code


def test_watch_without_a_terminal_says_each_change_in_a_line(up: Up, job: str) -> None:
    emit(
        up,
        {"job": job, "type": "job.progressed", "percent": 10, "message": "row 1"},
        {"job": job, "type": "job.finished"},
    )
    done = up.command("watch", job)
    assert done.stdout == ""
    assert f"{job} finished 100% row 1" in done.stderr


def test_replay_prints_every_event_of_the_log(up: Up, job: str) -> None:
    emit(up, *({"job": job, "type": "job.noted", "message": f"{n}\u2028"} for n in range(300)))
    found = [json.loads(line) for line in up.command("replay").stdout.split("\n") if line]
    ours = [line for line in found if line["event"]["job"] == job]
    assert [line["event"]["message"] for line in ours] == [f"{n}\u2028" for n in range(300)]
    assert len({line["partition"] for line in ours}) == 1


def test_a_reader_that_goes_away_is_no_error(up: Up, job: str) -> None:
    emit(up, *({"job": job, "type": "job.noted", "message": "x" * 900} for _ in range(500)))
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", "replay", "--url", up.gateway],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(30)


def timeless(lines: str) -> str:
    """Without estimates, which change with the time."""
    return re.sub(r'"eta":{.*?},"created_at"', '"eta":null,"created_at"', lines)


def test_a_redis_url_reads_the_same_without_a_gateway(up: Up, job: str) -> None:
    emit(up, {"job": job, "type": "job.progressed", "percent": 10}, {"job": job, "type": "job.finished"})
    for arguments in (["show", job, "--json"], ["replay", job], ["jobs", "--json"], ["watch", job, "--json"]):
        direct = run_command(*arguments, "--url", up.redis)
        assert direct.returncode == 0, direct.stderr
        assert timeless(direct.stdout) == timeless(up.command(*arguments).stdout)
    done = run_command("emit", "job.noted", "--job", job, "--url", up.redis)
    assert done.returncode == 0
    assert len(wait_history(up, job, 3)) == 3


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "redis://127.0.0.1:1/0"])
def test_where_nobody_answers_one_line_says_so(url: str) -> None:
    done = run_command("jobs", "--url", url)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "127.0.0.1:1" in done.stderr


# kinds ---------------------------------------------------------------------------------------------------------------


def test_kinds_tells_what_is_active_and_how_runs_went(up: Up, namespace: str) -> None:
    emit(
        up,
        {"job": f"{namespace}-a", "type": "job.started", "kind": namespace, "stages": [{"name": "Read"}]},
        {"job": f"{namespace}-a", "type": "stage.skipped", "stage": "Read"},
        {"job": f"{namespace}-a", "type": "job.finished"},
        {"job": f"{namespace}-b", "type": "job.started", "kind": namespace},
        {"job": f"{namespace}-b", "type": "job.failed"},
        {"job": f"{namespace}-c", "type": "job.progressed", "percent": 25},
        {"job": f"{namespace}-c", "type": "job.started", "kind": namespace},
        {"job": f"{namespace}-d", "type": "job.queued", "kind": namespace},
    )
    [row] = [line for line in up.command("kinds").stdout.splitlines() if line.startswith(namespace)]
    for told in ("1 running, 1 queued", "25.0", "50 %"):
        assert told in row
    listed = [json.loads(line) for line in up.command("kinds", "--json").stdout.splitlines()]
    assert namespace in [kind["kind"] for kind in listed]

    shown = up.command("kinds", namespace).stdout
    assert row in shown
    assert re.search(r"^Read +1 +100 %$", shown, re.MULTILINE)
    assert {line.split()[2] for line in shown.splitlines() if line.endswith(" s")} == {"failed", "finished"}
    assert "waited in the queue: 0.0 s (median), 0.0 s (p90)" in shown
    told = json.loads(up.command("kinds", namespace, "--json").stdout)
    assert told.items() >= next(kind for kind in listed if kind["kind"] == namespace).items()


def test_a_kind_that_nobody_has_used_is_not_found(up: Up) -> None:
    done = up.command("kinds", "no/such kind")
    assert (done.returncode, done.stdout) == (4, "")
    assert "there are no jobs of kind no/such kind" in done.stderr


# projector and gateway -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("role", ["projector", "gateway"])
def test_a_role_says_when_it_is_ready_and_ends_by_a_signal(
    server: Server, namespace: str, role: str, number: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "streamproc", role, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(STREAMPROC_REDIS=server.url, STREAMPROC_NAMESPACE=namespace, STREAMPROC_PORT="0"),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()


def test_a_projector_without_a_server_ends_with_one_line() -> None:
    done = run_command("projector", "--redis", "redis://:secret@127.0.0.1:1/0")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "redis://***@127.0.0.1:1/0" in done.stderr


# doctor --------------------------------------------------------------------------------------------------------------


def test_doctor_finds_a_running_system_well(up: Up) -> None:
    done = run_command("doctor", "--redis", up.redis, "--json")
    verdicts = {line["check"]: line["verdict"] for line in map(json.loads, done.stdout.splitlines())}
    assert set(verdicts) == {
        "server", "version", "durability", "eviction", "functions", "owners", "lag", "dead letters"
    }  # fmt: skip
    assert set(verdicts.values()) == {"ok"}
    assert done.returncode == 0


def test_doctor_names_what_is_wrong(own_server: Server) -> None:
    with redis.Redis.from_url(own_server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        client.hset("sp:meta", mapping={"format": "1", "partitions": "4"})
        client.xadd("sp:{1}:log", {"e": "{}"})
        client.xadd("sp:{1}:dead", {"reason": "x"})
    done = run_command("doctor", "--redis", own_server.url, "--json")
    found = {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert found["eviction"]["verdict"] == "fail"
    assert "allkeys-lru" in found["eviction"]["text"]
    assert found["owners"]["verdict"] == "fail"
    assert "0-3" in found["owners"]["text"]
    assert found["durability"]["verdict"] == "warn"
    assert found["dead letters"]["verdict"] == "warn"
    assert "partition 1: 1" in found["lag"]["text"]


def test_doctor_writes_nothing(own_server: Server) -> None:
    done = run_command("doctor", "--redis", own_server.url)
    assert done.returncode == 0
    assert "nothing has used it yet" in done.stdout
    with redis.Redis.from_url(own_server.url) as client:
        assert client.dbsize() == 0
        assert client.function_list() == []


# Settings ------------------------------------------------------------------------------------------------------------


def invoke(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, arguments, env=variables)


def test_every_wrong_setting_is_named_at_once() -> None:
    result = invoke("gateway", "--redis", "http://x", "--host", "192.0.2.1", "--port", "70000")
    assert result.exit_code == 2
    for name in ("redis:", "host:", "port:"):
        assert name in result.stderr


def test_a_flag_is_stronger_than_its_variable_and_that_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('host = "1.1.1.1"\nport = 70001\npartitions = 0\n')
    settings = ["gateway", "--config", str(file)]
    assert "port: 70001" in invoke(*settings).stderr
    assert "port: 70002" in invoke(*settings, STREAMPROC_PORT="70002").stderr
    assert "port: 70003" in invoke(*settings, "--port", "70003", STREAMPROC_PORT="70002").stderr
    assert "host: 1.1.1.1" in invoke(*settings, "--port", "70003").stderr


def test_the_file_may_be_named_by_its_variable_and_hold_settings_of_other_commands(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 70001\nredis-port = 0\nlease_seconds = 1.5\njson = true\nurl = "http://x"\n')
    assert "port: 70001" in invoke("gateway", STREAMPROC_CONFIG=str(file)).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1\nhots = 2", "settings that don't exist: hots, prot"),
        ("port = ", "is not TOML"),
        ('port = "many"', "'many' is not a valid integer"),
    ],
)
def test_a_file_of_settings_that_can_not_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    result = invoke("gateway", "--config", str(file))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("kind", ["a b", "a=b", "a,b", "*"])
def test_a_setting_by_kind_is_given_by_flags_lines_of_a_variable_or_a_table(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'[stall_seconds]\n"{kind}" = 0\nother = -1\n')
    lines = f"{kind}=0\nother=-1\n"
    for result in (
        invoke("projector", "--stall-seconds", f"{kind}=0", "--stall-seconds", "other=-1"),
        invoke("projector", STREAMPROC_STALL_SECONDS=lines),
        invoke("projector", "--config", str(file)),
    ):
        assert result.exit_code == 2
        assert f"stall_seconds: 0 of {kind!r} must be" in result.stderr
        assert "stall_seconds: -1 of 'other' must be" in result.stderr


@pytest.mark.parametrize("value", ["90", "import", "import=", "=90", "import=soon"])
def test_a_setting_by_kind_that_is_none_is_refused(value: str) -> None:
    result = invoke("up", "--stall-seconds", value)
    assert result.exit_code == 2
    assert f"{value!r} is not kind=seconds" in " ".join(result.stderr.split())


def test_every_setting_of_every_command_has_a_variable_of_its_name() -> None:
    for name, command in main.commands.items():
        for param in command.params:
            if param.param_type_name == "option" and not getattr(param, "hidden", False):
                flag = param.opts[0].removeprefix("--").replace("-", "_")
                assert param.envvar == f"STREAMPROC_{flag.upper()}", (name, flag)


def test_the_help_documents_every_command_and_exit_code() -> None:
    text = invoke("--help").stdout
    for name in (
        "up",
        "demo",
        "projector",
        "gateway",
        "run",
        "emit",
        "jobs",
        "show",
        "watch",
        "top",
        "kinds",
        "replay",
        "doctor",
        "key",
    ):
        assert f"\n  {name} " in text
        assert invoke(name, "--help").exit_code == 0
    for code in range(7):
        assert f"\n    {code}  " in text


def test_commands_that_do_not_need_them_import_neither_rich_nor_httpx_nor_starlette() -> None:
    code = "import streamproc.cli, sys; print(sorted({'rich', 'httpx', 'starlette', 'uvicorn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "[]"
