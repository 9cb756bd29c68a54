"""``key``: make a key for a gateway."""

import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from streamproc.auth import SCOPES
from streamproc.cli.options import Command, Setting, say

__all__ = ["key"]

_PREFIX: Final = "sp_"
"""By which people and scanners for leaked secrets know one."""
_BYTES: Final = 32


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--scope", "scopes", cls=Setting, multiple=True, required=True, type=click.Choice(SCOPES), help="What it may do."
)
@click.option("--kind", "kinds", cls=Setting, multiple=True, help="Only for jobs of this kind.")
@click.option("--owner", "owners", cls=Setting, multiple=True, help="Only for jobs of this owner.")
@click.option(
    "--job", "jobs", cls=Setting, multiple=True, metavar="PATTERN", help="Only for jobs of such ids: import-*."
)
@click.option("--days", cls=Setting, type=click.IntRange(1, 3650), help="For how long.  [default: for ever]")
def key(
    name: str,
    scopes: tuple[str, ...],
    kinds: tuple[str, ...],
    owners: tuple[str, ...],
    jobs: tuple[str, ...],
    days: int | None,
) -> None:
    """Make a key, and print what the gateway's --auth-file holds of it.

    \b
    streamproc key ci --scope events:write --kind import >> auth.toml

    The key itself is said on stderr, and nowhere kept: whoever gets it sets STREAMPROC_TOKEN to it.
    """
    made = _PREFIX + secrets.token_urlsafe(_BYTES)
    entry = [
        f"[keys.{json.dumps(name, ensure_ascii=False)}]",
        f'sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"',
    ]
    given = {"scopes": scopes, "kinds": kinds, "owners": owners, "jobs": jobs}
    entry += [f"{field} = {json.dumps(values, ensure_ascii=False)}" for field, values in given.items() if values]
    if days is not None:
        entry.append(f"expires = {(datetime.now(UTC) + timedelta(days=days)).isoformat(timespec='seconds')}")
    click.echo("\n".join(entry) + "\n")
    say(f"the key, which is shown this once: {made}")
