"""Workloads: real programs doing real work, that report how far they are with the SDK."""

from collections.abc import Callable
from typing import Final, NamedTuple

from benchmarks.workloads import building, moving, packages, querying
from benchmarks.workloads.run import Run

__all__ = ["WORKLOADS", "Workload"]


class Workload(NamedTuple):
    """A kind of job.

    Args:
        work: does one run.
        stages: as the job declares them: names, or weights that somebody guessed; None where it declares none.
    """

    work: Callable[[Run], None]
    stages: dict[str, float] | tuple[str, ...] | None = None


WORKLOADS: Final = {
    "compile": Workload(building.compile_native),
    "bytecode": Workload(building.compile_bytecode),
    "docs": Workload(building.build_docs, {"read": 5, "resolve": 1, "write": 4, "index": 1}),
    "types": Workload(building.check_types),
    "tests": Workload(building.run_tests),
    "pip": Workload(packages.install_pip),
    "npm": Workload(packages.install_npm, ("resolve", "fetch", "write")),
    "debs": Workload(packages.unpack_debs, {"download": 6, "unpack": 3, "index": 1}),
    "compress": Workload(moving.compress),
    "sort": Workload(moving.sort_lines, ("read", "sort", "write")),
    "rsync": Workload(moving.copy_tree),
    "git": Workload(moving.repack_git),
    "video": Workload(moving.encode_video, {"make": 1, "probe": 1, "encode": 7, "remux": 1}),
    "sqlite": Workload(querying.load_sqlite, ("create", "load", "index", "vacuum")),
    "duckdb": Workload(querying.report_duckdb, {"generate": 1, "clean": 2, "join": 4, "rank": 2, "export": 1}),
}
"""By kind."""
