"""Which jobs a command is about: the flags for that, the same for all of them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from streamproc.cli.options import Setting

__all__ = ["filters", "wanted_of"]

F = TypeVar("F", bound=Callable[..., Any])


def filters(statuses: Sequence[str]) -> Callable[[F], F]:
    """Give a command the flags that say which jobs are meant; `wanted_of` takes what they are given."""
    options = (
        click.option(
            "--status", cls=Setting, type=click.Choice(statuses), multiple=True, help="Of this status, or of several."
        ),
        click.option("--kind", cls=Setting, help="Of this kind."),
        click.option(
            "--label", cls=Setting, metavar="NAME=VALUE", multiple=True, help="With this label, or all of these."
        ),
        click.option("--worker", cls=Setting, help="Whose latest report came from this worker."),
        click.option("--owner", cls=Setting, help="Of this owner."),
        click.option("--search", "-q", cls=Setting, metavar="WORDS", help="With words in title or id that begin so."),
        click.option("--stalled", cls=Setting, is_flag=True, help="Silent for too long."),
    )

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def wanted_of(given: dict[str, Any]) -> dict[str, str | Sequence[str]]:
    """The same as parameters of ``GET /v1/jobs``. Raises `click.UsageError`."""
    for label in given["label"]:
        if "=" not in label:
            raise click.UsageError(f"--label {label}: must be NAME=VALUE")
    asked = {
        "status": given["status"],
        "kind": given["kind"],
        "label": [label.replace("=", ":", 1) for label in given["label"]],
        "worker": given["worker"],
        "owner": given["owner"],
        "q": given["search"],
    }
    return {name: value for name, value in asked.items() if value} | ({"stalled": "true"} if given["stalled"] else {})
