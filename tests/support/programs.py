"""Programs that only some machines have. CI has them all, and says so by a variable."""

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["absent", "program"]


def program(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails where nothing may be missing."""
    found = shutil.which(name)
    if found is None:
        absent(f"no {name} on this machine")
    return found


def absent(reason: str) -> NoReturn:
    """Skip the test; fail it where STREAMPROC_TEST_EVERYTHING is set."""
    if os.environ.get("STREAMPROC_TEST_EVERYTHING"):
        pytest.fail(f"{reason}, and STREAMPROC_TEST_EVERYTHING is set")
    pytest.skip(reason)
