"""Workloads that install software: pip, npm, and Debian's packages."""

import re
from typing import Final

from benchmarks.workloads.run import Run

__all__ = ["install_npm", "install_pip", "unpack_debs"]

PIP: Final = ("-m", "pip", "install", "--no-color", "--no-index", "--target", "here", "--find-links")
NPM: Final = (
    *("npm", "install", "--prefix", ".", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"),
    *("--loglevel=silly", "--color=false"),
)
NPM_PACKAGES: Final = [
    "express",
    "lodash",
    "webpack",
    "typescript",
    "eslint",
    "prettier",
    "react",
    "react-dom",
    "vue",
    "axios",
    "commander",
    "chalk",
    "jest",
    "mocha",
    "rollup",
    "vite",
    "postcss",
    "autoprefixer",
    "sass",
    "less",
    "koa",
    "fastify",
    "ws",
    "uuid",
    "yargs",
    "glob",
    "semver",
    "moment",
    "dayjs",
    "rxjs",
    "d3",
    "three",
]


def install_pip(run: Run) -> None:
    """Install Python packages from a folder of wheels: what is needed turns up on the way, and install is mute."""
    names = sorted({wheel.name.split("-")[0] for wheel in run.material.wheels})
    chosen = run.random.sample(names, run.count(1, 9))
    packages = run.job.indicator("packages")
    packages.add(len(chosen))
    collect = run.job.stage("collect").start()
    install = run.job.stage("install")
    known = set(chosen)
    for line in run.lines(run.material.python, *PIP, run.material.root / "wheels", *chosen):
        if line.startswith("Collecting"):
            name = re.split(r"[^\w.-]", line.split()[1])[0].lower().replace("-", "_")
            if name not in {one.lower() for one in known}:
                known.add(name)
                packages.add(1)
        elif line.startswith("Processing"):
            packages.done(1)
        elif line.startswith("Installing collected packages"):
            collect.finish()
            install.start().indeterminate(f"{line.count(',') + 1} packages")
    install.finish()


def install_npm(run: Run) -> None:
    """Install npm packages: resolve, where the tree grows, fetch, and write. The cache is cold at first."""
    chosen = run.random.sample(NPM_PACKAGES, run.count(1, 6))
    tree = run.job.indicator("packages")
    resolve, fetch, write = (run.job.stage(name) for name in ("resolve", "fetch", "write"))
    resolve.start()
    wanted = placed = missing = fetched = 0
    for line in run.lines(*NPM, "--cache", run.material.npm_cache, *chosen):
        if "silly fetch manifest" in line:
            wanted += 1
            tree.add(1)
        elif "silly placeDep" in line:
            placed += 1
            tree.done(1)
            resolve.items(placed, max(wanted, placed))
        elif "silly reify" in line and not missing:
            resolve.finish()
            fetch.start()
        elif "silly tarball no local data" in line:
            missing += 1
            fetch.items(fetched, missing)
        elif re.search(r"http fetch GET \d+ \S+\.tgz", line):
            fetched += 1
            fetch.items(fetched, max(fetched, missing))
        elif "silly ADD" in line or line.startswith("added "):
            fetch.finish()
            write.start()
    write.finish()


def unpack_debs(run: Run) -> None:
    """Download Debian packages with apt, which says percents, and unpack them; a unit each, weighted by its size."""
    chosen = run.some([deb for deb in run.material.debs if deb.stat().st_size < 8_000_000], run.count(2, 30))
    names = [deb.name.split("_")[0] for deb in chosen]
    with run.job.stage("download") as stage:
        options = ["-q", "-o", "APT::Status-Fd=1", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]
        for line in run.lines("apt-get", *options, "download", *names):
            if line.startswith("dlstatus:"):
                stage.percent(float(line.split(":")[2]))
    with run.job.stage("unpack"):
        debs = sorted(run.folder.glob("*.deb"))
        (run.folder / "tree").mkdir()
        units = [run.job.add_unit(deb.name.split("_")[0], weight=deb.stat().st_size, stage="unpack") for deb in debs]
        for deb, unit in zip(debs, units, strict=True):
            with unit:
                run.quietly("dpkg-deb", "-x", deb, f"tree/{unit.name}")
    with run.job.stage("index"):
        run.quietly("tar", "cf", "tree.tar", "--sort=name", "tree")
        run.quietly("sha256sum", "tree.tar")
