"""``convcli piece``: run a share of a job, as batch systems start many of them."""

from __future__ import annotations

import click

from convcli.cli import options
from convcli.cli.command import MAIN, Command, option
from convcli.cli.console import say, tell
from convcli.cli.types import Value, parse_share


@click.command(cls=Command)
@click.argument("job", metavar="JOB", type=Value("JOB", files=True))
@click.argument("share", metavar="[I/N]", required=False, type=Value("I/N", parse_share))
@option(
    "--finish",
    heading=MAIN,
    is_flag=True,
    help="Check that every piece is done, and complete the result",
)
@options.threads
def piece(job: str, share: tuple[int, int] | None, finish: bool, threads: int | None) -> None:
    """Run a share of a job, as batch systems start many of them.

    \b
      convcli apply in.zarr -k box3 -o out.zarr --job job.json
      convcli piece job.json 0/2
      convcli piece job.json 1/2
      convcli piece job.json --finish

    JOB is a file that `convcli apply --job` has written. The share I of N, counted from 0, has every N-th
    piece; those that are done are skipped. Where pixels depend on the range of all values, run all shares,
    --finish, and the same once more.
    """
    from convcli.core.numerals import counted
    from convcli.jobs.shares import finish_job, run_share

    if finish == (share is not None):
        raise click.UsageError("give either a share such as 0/200, or --finish")
    if finish:
        done = finish_job(job)
        say(done)
        return
    assert share is not None
    made, skipped = run_share(job, *share, threads)
    tell(f"{counted(made, 'piece')} done, {skipped} skipped")
