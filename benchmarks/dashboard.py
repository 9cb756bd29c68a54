"""How fast the dashboard is: until the first bar, while 200 jobs move at once, when it is left open, with many units.

The embedded server, a projector, a gateway and a producer as processes of their own, and a real Chromium, headless:
where there is no graphics card it draws by the processor too. All of it shares the machine, so what an almost empty
page of the same gateway takes is measured in the same run, and told as a ratio.
"""

import argparse
import os
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from playwright.async_api import Browser, CDPSession, Page, ViewportSize, async_playwright

from benchmarks.dashboard_producer import job
from benchmarks.gateway import Stack, program, stack
from benchmarks.report import Figure, machine, print_report
from streamproc.inspection import report_server

PROBE = Path(__file__).with_name("dashboard_probe.js")
WIDE = (1360, 900)
TALL = (1360, 14_000)
SCALE = 0.27  # no screen has room for 200 rows but one of 3,840 pixels on end, with the page made small
JOBS = 200
RATE = 10
UNITS = 10_000
BAR = ".row [role=progressbar]"
EMPTY = "/static/dashboard/icon.svg"
COSTS = {"ScriptDuration": "script", "RecalcStyleDuration": "style", "LayoutDuration": "layout", "TaskDuration": "all"}

Tell = Callable[..., None]


@asynccontextmanager
async def opened(browser: Browser, size: tuple[int, int] = WIDE) -> AsyncIterator[Page]:
    """A page in a context of its own: nothing is in its cache."""
    scale = SCALE if size == TALL else 1
    viewport = ViewportSize(width=size[0], height=size[1])
    context = await browser.new_context(viewport=viewport, device_scale_factor=scale)
    await context.add_init_script(path=PROBE)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def metrics(session: CDPSession) -> dict[str, float]:
    found = await session.send("Performance.getMetrics")
    return {each["name"]: each["value"] for each in found["metrics"]}


async def added(run: Stack, jobs: list[str], at_once: int = 1000) -> None:
    """Jobs that have begun."""
    for at in range(0, len(jobs), at_once):
        some = jobs[at : at + at_once]
        await run.append(*(f'{{"job":"{each}","type":"job.progressed","percent":40,"kind":"import"}}' for each in some))
    await run.history(jobs[-1], 1)


async def loads(browser: Browser, run: Stack, tell: Tell, jobs: int, turns: int) -> None:
    """From navigation to the first bar, with nothing in the cache and on a second visit."""
    for _ in range(turns):
        async with opened(browser) as page:
            await page.goto(run.url + EMPTY, wait_until="commit")
            empty = await page.evaluate("probe.shown('svg')")
        async with opened(browser) as page:
            session = await page.context.new_cdp_session(page)
            wire: list[float] = []
            session.on("Network.loadingFinished", lambda done, wire=wire: wire.append(done["encodedDataLength"]))
            await session.send("Network.enable")
            await page.goto(run.url, wait_until="commit")
            cold = await page.evaluate("selector => probe.shown(selector)", BAR)
            tell(f"first load, {jobs:,} jobs: requests until the first bar", "", len(wire))
            tell(f"first load, {jobs:,} jobs: over the wire until the first bar", "KiB", sum(wire) / 1024)
            await session.detach()
            await page.goto("about:blank")
            await page.goto(run.url, wait_until="commit")
            warm = await page.evaluate("selector => probe.shown(selector)", BAR)
        tell("an almost empty page", "ms", empty)
        tell(f"first bar, {jobs:,} jobs, empty cache", "ms", cold, "<= 300")
        tell(f"first bar, {jobs:,} jobs, empty cache / an almost empty page", "x", cold / empty)
        tell(f"first bar, {jobs:,} jobs, second visit", "ms", warm, "<= 300")


def tell_frames(tell: Tell, what: str, found: dict[str, list[float]], limit: str = "") -> None:
    cuts = statistics.quantiles(found["intervals"], n=100)
    for share, name in ((49, "p50"), (94, "p95"), (98, "p99")):
        tell(f"{what}: frames, {name}", "ms", cuts[share], limit if name == "p95" else "")
    tell(f"{what}: tasks over 50 ms", "", len(found["tasks"]))


async def moving(browser: Browser, run: Stack, tell: Tell, seconds: float) -> None:
    """200 jobs in sight, at 10 updates a second each."""
    async with opened(browser, TALL) as page:
        await page.goto(run.url + EMPTY)
        idle = await page.evaluate("ms => probe.frames(ms)", seconds * 500)
        tell_frames(tell, "an almost empty page", idle)
    async with opened(browser, TALL) as page, producing(run):
        session = await watched(page, run)
        before = await metrics(session)
        found = await page.evaluate("([ms, every]) => probe.following(ms, every)", [seconds * 1000, 1000 / RATE])
        after = await metrics(session)
        tell_frames(tell, f"{JOBS} jobs at {RATE}/s", found, "<= 32")
        for name, cost in COSTS.items():
            tell(f"{JOBS} jobs at {RATE}/s: main thread, {cost}", "ms/s", (after[name] - before[name]) / seconds * 1000)
        in_time = sum(late <= 250 for late in found["late"]) / len(found["late"])
        tell(f"{JOBS} jobs at {RATE}/s: updates shown within 250 ms", "%", 100 * in_time, ">= 95")
        tell(f"{JOBS} jobs at {RATE}/s: append -> screen, p50", "ms", statistics.median(found["late"]))


async def left_open(browser: Browser, run: Stack, tell: Tell, minutes: float) -> None:
    """A page that nobody closes: what is still held after everything was collected that could be."""
    async with opened(browser, TALL) as page, producing(run):
        session = await watched(page, run)
        await anyio.sleep(15)  # what is compiled and cached once isn't growth
        first = await collected(session)
        await anyio.sleep(minutes * 60)
        last = await collected(session)
    for name, what, unit, per in (("JSHeapUsedSize", "JS heap", "MiB", 2**20), ("Nodes", "DOM nodes", "", 1)):
        tell(f"left open: {what}", unit, last[name] / per)
        tell(f"left open: {what}, growth an hour", unit, (last[name] - first[name]) / per * 60 / minutes)


async def collected(session: CDPSession) -> dict[str, float]:
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    return await metrics(session)


async def units(browser: Browser, run: Stack, tell: Tell, seconds: float) -> None:
    """A job with 10,000 units."""
    async with opened(browser) as page:
        await page.goto(f"{run.url}/#/jobs/many", wait_until="commit")
        box = "[aria-label='Units of the job']"
        whole = await page.evaluate("([box, last]) => probe.whole(box, last)", [box, f".unit[aria-posinset='{UNITS}']"])
        tell(f"a job with {UNITS:,} units: the last can be seen", "ms", whole)
        await page.evaluate("box => { document.querySelector(box).scrollTop = 0 }", box)
        found = await page.evaluate("([box, ms]) => probe.scrolling(box, ms)", [box, seconds * 500])
        tell_frames(tell, f"{UNITS:,} units scrolled", found)


@asynccontextmanager
async def producing(run: Stack) -> AsyncIterator[None]:
    async with program("benchmarks.dashboard_producer", run.redis, str(JOBS), str(RATE)):
        yield


async def watched(page: Page, run: Stack) -> CDPSession:
    """The list, when it is live."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await page.goto(run.url)
    await page.locator(f".row[aria-posinset='{JOBS}']").wait_for()
    await page.locator("#connection.live").wait_for()
    await anyio.sleep(2)
    return session


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = await playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
        try:
            yield browser
        finally:
            await browser.close()


async def main(runs: int, seconds: float, minutes: float) -> None:
    figures: dict[str, Figure] = {}

    def tell(name: str, unit: str, value: float, limit: str = "") -> None:
        figures.setdefault(name, Figure(name, unit, [], limit)).runs.append(value)

    load = os.getloadavg()[0]
    shown = [job(number) for number in range(JOBS)]
    async with chromium() as browser:
        async with stack() as run:
            about = await report_server(run.client)
            await added(run, shown)
            await loads(browser, run, tell, JOBS, runs)
            for _ in range(runs):
                await moving(browser, run, tell, seconds)
            if minutes:
                await left_open(browser, run, tell, minutes)
        async with stack() as run:
            await added(run, [f"listed-{number:04}" for number in range(5_000)])
            await loads(browser, run, tell, 5_000, runs)
            await run.append(*(f'{{"job":"many","type":"unit.added","unit":"page {n}"}}' for n in range(UNITS)))
            await run.history("many", UNITS)
            for _ in range(runs):
                await units(browser, run, tell, seconds)
        version = browser.version
    settings: dict[str, Any] = {"browser": f"Chromium {version}, headless", "seconds a run": seconds}
    ran_on = machine(f"{about.kind} {about.version}") | {"load_before": load}
    print_report("streamproc dashboard", ran_on, settings, list(figures.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="that frames are counted for")
    parser.add_argument("--minutes", type=float, default=2.0, help="that a page is left open for; 0 leaves this out")
    parser.add_argument("--quick", action="store_true", help="one short run of each, and no page left open")
    arguments = parser.parse_args()
    settings = (1, 5.0, 0.0) if arguments.quick else (arguments.runs, arguments.seconds, arguments.minutes)
    anyio.run(main, *settings)
