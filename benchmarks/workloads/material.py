"""What the real programs work on: sources, packages and texts from PyPI and Debian, fetched once."""

import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Final

__all__ = ["Material"]

TOOLS: Final = ("pip", "sphinx", "pytest", "mypy", "duckdb", "sympy", "networkx", "pandas", "hypothesis")
SOURCES: Final = ("grpcio", "Django", "zstandard")
WHEELS: Final = [
    "requests",
    "flask",
    "rich",
    "numpy",
    "pandas",
    "sqlalchemy",
    "pytest",
    "httpx",
    "pydantic",
    "aiohttp",
    "django",
    "sympy",
    "networkx",
    "pillow",
    "matplotlib",
    "scipy",
    "lxml",
    "cryptography",
    "boto3",
    "black",
    "mypy",
    "sphinx",
    "ipython",
    "scikit-learn",
    "celery",
    "fastapi",
    "uvicorn",
    "duckdb",
    "jupyterlab",
    "scrapy",
]
PACKAGES: Final = ("openjdk-17-source", "texlive-base", "libreoffice-core", "gcc-11")
NOT_ALONE: Final = (
    "test",
    "fuzz",
    "bench",
    "windows",
    "win32",
    "mock",
    "googletest",
    "/tool/",
    "/pki/",
    "_fork",
    "/upb/",
)
"""Parts of names of sources that don't compile on their own, or not here."""


class Material:
    """A folder of it.

    Args:
        root: the folder; a gigabyte and a half goes there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.python = self.root / "tools/bin/python"
        self.npm_cache = self.root / "npm"

    def fetch(self) -> None:
        """Fetch what isn't there yet."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.python.exists():
            self._do(sys.executable, "-m", "venv", "tools")
            self._do(self.python, "-m", "pip", "install", "-q", "-U", *TOOLS)
        pip = (self.python, "-m", "pip", "download", "-q", "-d")
        if not (self.root / "wheels").exists():
            self._do(*pip, "wheels", *WHEELS)
        if not (self.root / "src").exists():
            self._do(*pip, "sdists", "--no-deps", "--no-binary", ":all:", *SOURCES)
            (self.root / "src").mkdir()
            for archive in (self.root / "sdists").iterdir():
                self._do("tar", "xzf", archive, "-C", "src")
        if not (self.root / "debs").exists():
            (self.root / "debs/partial").mkdir(parents=True)
            archives = f"Dir::Cache::archives={self.root / 'debs'}"
            self._do("apt-get", "-q", "-o", archives, "--download-only", "-y", "install", *PACKAGES)

    def _do(self, *command: str | Path) -> None:
        subprocess.run([str(word) for word in command], cwd=self.root, check=True)

    @cached_property
    def native(self) -> Path:
        """C and C++ sources of many libraries."""
        return next((self.root / "src").glob("grpcio-*/third_party"))

    @cached_property
    def native_sources(self) -> list[Path]:
        """Those that compile on their own."""
        found = [path for suffix in ("*.c", "*.cc") for path in self.native.rglob(suffix)]
        return sorted(
            path for path in found if not any(part in str(path.relative_to(self.native)) for part in NOT_ALONE)
        )

    @cached_property
    def docs(self) -> Path:
        """A tree of reStructuredText."""
        return next((self.root / "src").glob("[dD]jango-*/docs"))

    @cached_property
    def wheels(self) -> list[Path]:
        return sorted((self.root / "wheels").glob("*.whl"))

    @cached_property
    def debs(self) -> list[Path]:
        return sorted((self.root / "debs").glob("*.deb"))

    @cached_property
    def site_packages(self) -> Path:
        """Installed Python packages, some with their tests."""
        return next((self.root / "tools/lib").glob("python*/site-packages"))

    @cached_property
    def binaries(self) -> list[Path]:
        """Files of a machine as they come: programs, libraries, texts, archives."""
        found = [
            path
            for folder in ("/usr/lib/gcc", "/usr/lib/python3", "/usr/share/doc")
            for path in Path(folder).rglob("*")
        ]
        return sorted(path for path in found if path.is_file() and not path.is_symlink() and path.stat().st_size > 2048)
