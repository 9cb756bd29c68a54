"""Workloads that build and check software: compilers, a documentation builder, a type checker, test suites."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from subprocess import DEVNULL
from typing import Final

import streamproc
from benchmarks.workloads.run import ProgramFailed, Run

__all__ = ["build_docs", "check_types", "compile_bytecode", "compile_native", "run_tests"]

_PERCENT: Final = re.compile(r"\[ *(\d+)%\]")


def compile_native(run: Run) -> None:
    """Compile C and C++ files two at a time; a unit each, weighted by its size. A compiler that died is tried again."""
    files = run.some(run.material.native_sources, run.count(2, 16))
    level = run.random.choice(("-O0", "-O1", "-O2"))
    units = [run.job.add_unit(f"{n}-{file.name}", weight=file.stat().st_size) for n, file in enumerate(files)]
    with ThreadPoolExecutor(2) as compilers:
        compiling = [
            compilers.submit(_compile, run, file, unit, level) for file, unit in zip(files, units, strict=True)
        ]
        try:
            while wait(compiling, timeout=0.1).not_done:
                run.checkpoint()
        except streamproc.JobCanceled:
            compilers.shutdown(cancel_futures=True)
            raise
    for one in compiling:
        one.result()
    run.quietly("ar", "rcs", "all.a", *sorted(run.folder.glob("*.o")))


def _compile(run: Run, file: Path, unit: streamproc.Unit, level: str) -> None:
    native = run.material.native
    folders = ["", "abseil-cpp", "boringssl-with-bazel/include", "re2", "upb", "utf8_range", "xxhash", "zlib"]
    folders += [
        "cares/cares/include",
        "cares/cares/src/lib",
        "cares/cares/src/lib/include",
        "cares/config_linux",
        "cares",
    ]
    folders += ["boringssl-with-bazel", "address_sorting/include"]
    command = ["g++", "-std=c++17"] if file.suffix == ".cc" else ["gcc", "-std=gnu11", "-DHAVE_CONFIG_H"]
    command += [level, "-w", "-D_GNU_SOURCE", "-DOPENSSL_NO_ASM", *(f"-I{native / folder}" for folder in folders)]
    for attempt in (1, 2):
        try:
            with unit, run.program(*command, "-c", file, "-o", f"{unit.name}.o", stdout=DEVNULL, stderr=DEVNULL):
                pass
        except ProgramFailed as failure:
            if attempt == 2 or failure.code > 0:
                raise
            unit = run.job.unit(unit.name, attempt=2)
        else:
            return


def compile_bytecode(run: Run) -> None:
    """Compile Python files to bytecode; the job says whole percents, as many programs do."""
    files = run.some(sorted(run.material.site_packages.rglob("*.py")), run.count(100, 2000))
    for number, file in enumerate(files):
        shutil.copyfile(file, run.folder / f"{number:05}_{file.name}")
    done = 0
    for line in run.lines(run.material.python, "-m", "compileall", "-j", "1", "."):
        if line.startswith("Compiling"):
            done += 1
            run.job.percent(100 * done // len(files))


def build_docs(run: Run) -> None:
    """Build HTML from a part of a large manual with Sphinx, which says how far each of its phases is, in percent."""
    pages = run.some(sorted(run.material.docs.rglob("*.txt")), run.count(3, 40))
    for page in pages:
        copy = run.folder / "docs" / page.relative_to(run.material.docs)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, copy)
    contents = "\n   ".join(str(page.relative_to(run.material.docs).with_suffix("")) for page in pages)
    (run.folder / "docs/all-of-it.txt").write_text(f"All\n===\n\n.. toctree::\n\n   {contents}\n")
    settings = 'project = "manual"\nsource_suffix = {".txt": "restructuredtext"}\nroot_doc = "all-of-it"\n'
    (run.folder / "docs/conf.py").write_text(settings)

    stage: streamproc.Stage | None = None
    for line in run.lines(run.material.python, "-u", "-m", "sphinx", "-b", "html", "--color", "docs", "html"):
        text = re.sub(r"\x1b\[[0-9;]*[mK]", "", line)
        name = _stage_of(text) or (stage.name if stage else None)
        if name is not None and (stage is None or stage.name != name):
            if stage is not None:
                stage.finish()
            stage = run.job.stage(name).start()
        if stage is not None and (percent := _PERCENT.search(text)):
            stage.percent(int(percent[1]))
    if stage is not None:
        stage.finish()


def _stage_of(line: str) -> str | None:
    if line.startswith("reading sources"):
        return "read"
    if line.startswith(("looking for now-outdated", "pickling environment", "checking consistency")):
        return "resolve"
    if line.startswith("writing output") and _PERCENT.search(line):
        return "write"
    if line.startswith("generating indices"):
        return "index"
    return None


def check_types(run: Run) -> None:
    """Check the types of Python packages with mypy, which never says how far it is."""
    names = [
        "sphinx",
        "pygments",
        "jinja2",
        "docutils",
        "babel",
        "requests",
        "urllib3",
        "pytest",
        "_pytest",
        "pluggy",
        "networkx",
        "mypy",
        "packaging",
        "pip",
    ]
    packages = [run.material.site_packages / name for name in names]
    files = [file for package in packages for file in sorted(package.rglob("*.py")) if "test" not in file.name]
    chosen = run.some(files, run.count(4, 90))
    inner = run.folder / "a/b/c/d"  # deep enough for their relative imports
    inner.mkdir(parents=True)
    for folder in (inner, *inner.parents[:3]):
        (folder / "__init__.py").touch()
    for number, file in enumerate(chosen):
        shutil.copyfile(file, inner / f"m{number:04}.py")
    run.job.indeterminate(f"checking {len(chosen)} modules")
    options = ["--ignore-missing-imports", "--follow-imports=skip", "--cache-dir=cache", "--no-error-summary"]
    try:
        run.quietly(run.material.python, "-m", "mypy", *options, "a")
    except ProgramFailed as failure:
        if failure.code != 1:  # 1: it has found errors, which is its work
            raise


def run_tests(run: Run) -> None:
    """Run some tests of sympy and networkx: collect, of which nothing is known, and then so many of a total."""
    site = run.material.site_packages
    parts = ("networkx", "sympy/assumptions", "sympy/combinatorics", "sympy/core", "sympy/sets", "sympy/utilities")
    files = [file for part in parts for file in (site / part).rglob("test_*.py") if file.stat().st_size < 9_000]
    chosen = run.some(files, run.count(2, 26))
    options = ["-u", "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", "-W", "ignore", "-v"]
    done, total = 0, 0
    run.job.indeterminate("collecting")
    try:
        for line in run.lines(run.material.python, *options, *(file.relative_to(site) for file in chosen), cwd=site):
            if found := re.search(r"collected (\d+) items?", line):
                total = int(found[1])
                run.job.items(0, total, "testing")
            elif _PERCENT.search(line) and "::" in line:
                done += 1
                run.job.items(done)
    except ProgramFailed as failure:
        if failure.code != 1:  # 1: some tests have failed, and all have run
            raise
