"""The command line. Data goes to stdout, talk to stderr."""

import click

from streamproc.cli.demo import demo
from streamproc.cli.doctor import doctor
from streamproc.cli.emit import emit
from streamproc.cli.key import key
from streamproc.cli.options import Commands
from streamproc.cli.reading import jobs, kinds, replay, show
from streamproc.cli.run import run
from streamproc.cli.servers import gateway, projector, up
from streamproc.cli.top import top
from streamproc.cli.watching import watch

__all__ = ["main"]

_EPILOG = """
\b
Exit codes:
  0  done
  1  it failed: a watched job failed or was canceled, a check of doctor failed
  2  a flag, a setting, an event, or who asks was refused
  3  a server or a gateway can't be reached, or can't serve
  4  there is no such job, or kind of jobs
  5  the data folder is in use
  6  a watched job had not ended in time

watch exits with 130 after Ctrl-C, where jobs that it was given had not ended.
run exits as its command does: 127 where there is none, 126 where it can't be run, 128 and more after a signal.
"""


@click.group(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streamproc", prog_name="streamproc")
def main() -> None:
    """Progress of long-running jobs, on Redis Streams."""


for _command in (up, demo, projector, gateway, run, emit, jobs, show, watch, top, kinds, replay, doctor, key):
    main.add_command(_command)
