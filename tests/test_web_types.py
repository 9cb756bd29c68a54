"""The module's types: TypeScript takes what they offer, refuses the rest, and they are of what the module has."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from streamproc.gateway.assets import FOLDER
from tests.support.browsing import Page, put
from tests.support.programs import program
from tests.support.stack import Stack

SAMPLES = Path(__file__).parent / "samples" / "web"
TYPES = FOLDER / "streamproc.d.ts"
OPTIONS = {
    "strict": True,
    "noEmit": True,
    "target": "es2022",
    "module": "es2022",
    "moduleResolution": "node",
    "lib": ["es2022", "dom"],
    "types": [],
    "jsx": "preserve",
    "forceConsistentCasingInFileNames": True,
    "paths": {"streamproc": [str(TYPES)]},
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[int]]:
    """The lines of the samples that TypeScript refuses."""
    config = tmp_path_factory.mktemp("types") / "tsconfig.json"
    samples = {path.name: path for path in SAMPLES.iterdir()}
    files = [str(path) for path in samples.values()]
    config.write_text(json.dumps({"compilerOptions": OPTIONS | {"baseUrl": "/"}, "files": files}))
    checked = subprocess.run([program("tsc"), "--project", str(config)], capture_output=True, text=True, check=False)
    told = re.findall(r"(\w+\.tsx)\((\d+),\d+\): error", checked.stdout)
    assert checked.returncode == 0 or told, checked.stdout
    return {name: {int(line) for of, line in told if of == name} for name in samples}


def test_typescript_takes_all_that_pages_do(errors: dict[str, set[int]]) -> None:
    assert errors["uses.tsx"] == set()


def test_typescript_refuses_what_would_fail(errors: dict[str, set[int]]) -> None:
    lines = enumerate((SAMPLES / "misuses.tsx").read_text().splitlines(), 1)
    assert errors["misuses.tsx"] == {number for number, line in lines if line.endswith("// refused")}


EXPORTED = """async () => {
  const members = (type) =>
    type && ![HTMLElement.prototype, Error.prototype, Object.prototype].includes(type)
      ? [...Object.getOwnPropertyNames(type), ...members(Object.getPrototypeOf(type))] : [];
  const module = Object.entries(await import("/static/streamproc.js"));
  return Object.fromEntries(module.map(([name, value]) => [name, members(value.prototype)]));
}"""
CLASS = re.compile(r"^export class (Client|JobProgress|JobList) .*?\{\n(.*?)^}", re.MULTILINE | re.DOTALL)


def test_the_types_are_of_what_the_module_has(page: Page, stack: Stack) -> None:
    put(page, stack.http)
    exported = page.evaluate(EXPORTED)
    text = TYPES.read_text()
    assert set(re.findall(r"^export (?:class|function) (\w+)", text, re.MULTILINE)) == set(exported)
    for name, body in CLASS.findall(text):
        declared = set(re.findall(r"^  (?:readonly )?(\w+)[:(<]", body, re.MULTILINE))
        assert declared <= set(exported[name]), name
        if name == "Client":
            assert declared | {"constructor"} == set(exported[name])
