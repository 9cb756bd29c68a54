"""The page of the OpenAPI document: plain HTML made here, so that it needs neither scripts nor the Internet."""

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any, Final

__all__ = ["CSP", "STYLE", "page"]

CSP: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""What a browser may load for it: its style."""

STYLE: Final = """\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --faint: #8883 }
body { margin: 0 auto; max-width: 60rem; padding: 1rem }
h1 small, summary small { font-weight: normal; opacity: .7 }
details { border: 1px solid var(--faint); border-radius: .4rem; margin: .4rem 0; padding: .4rem .8rem }
summary { cursor: pointer; overflow-wrap: anywhere }
b { display: inline-block; min-width: 4.5rem }
code, pre, b { font-family: ui-monospace, monospace; font-size: .9em }
pre { background: var(--faint); border-radius: .4rem; overflow-x: auto; padding: .6rem }
table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid var(--faint); padding: .2rem .8rem .2rem 0; vertical-align: top; overflow-wrap: anywhere }
"""


def page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{escape(info["title"])}</title><link rel="stylesheet" href="/docs/style.css"></head><body>',
            f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
            f"<p>{escape(info['summary'])} As documents for programs: ",
            '<a href="/openapi.json">OpenAPI</a>, <a href="/asyncapi.json">AsyncAPI</a>.</p>',
            *_operations(document),
            "<h2>Schemas</h2>",
            *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
            "</body></html>",
        )
    )


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for tag in document["tags"]:
        found = [
            _operation(method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation["tags"]
        ]
        if found:
            yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
            yield from found


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    head = f"<b>{method.upper()}</b> <code>{escape(path)}</code> <small>{escape(operation['summary'])}</small>"
    parameters = [(_name(each), _type(each["schema"]), each.get("description", "")) for each in operation["parameters"]]
    body = [(kind, _type(each["schema"]), "") for kind, each in _content(operation.get("requestBody"))]
    answers = [(status, _types(answer), answer["description"]) for status, answer in operation["responses"].items()]
    return "".join(
        (
            f'<details id="{operation["operationId"]}"><summary>{head}</summary>',
            f"<p>{_text(operation['description'])}</p>",
            _table("Parameters", parameters),
            _table("Body", body),
            _table("Answers", answers),
            f"<pre>{escape(_curl(method, path, operation))}</pre></details>",
        )
    )


def _types(answer: dict[str, Any]) -> str:
    return ", ".join(f"{kind} {_type(each['schema'])}" for kind, each in _content(answer))


def _name(parameter: dict[str, Any]) -> str:
    return f"{parameter['name']} ({parameter['in']})"


def _content(holder: dict[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
    return [] if holder is None else list(holder.get("content", {}).items())


def _table(title: str, rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    cells = [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{_text(about)}</td></tr>"
        for name, kind, about in rows
    ]
    return f"<h4>{title}</h4><table>{''.join(cells)}</table>"


def _text(markdown: str) -> str:
    """Text with `code` in it."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for word, joint in (("anyOf", " or "), ("allOf", " and ")):
        if word in schema:
            return joint.join(_type(each) for each in schema[word])
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    kinds = schema.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _curl(method: str, path: str, operation: dict[str, Any]) -> str:
    shown = path.replace("{job}", "import-42").replace("{kind}", "import")
    text = f"curl {'' if method == 'get' else f'-X {method.upper()} '}http://127.0.0.1:8700{shown}"
    for kind, each in _content(operation.get("requestBody"))[:1]:
        if "example" in each:
            text += f" -H 'content-type: {kind}' \\\n  -d '{json.dumps(each['example'])}'"
    return text


def _schema(name: str, schema: dict[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = [
        (field, _type(each), "always there" if field in needed else "")
        for field, each in schema.get("properties", {}).items()
    ]
    about = schema.get("description") or _type(schema)
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{_text(about)}</p>{_table('Fields', rows)}</details>"
    )
