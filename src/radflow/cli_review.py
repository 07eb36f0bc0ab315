"""The command with which people review a run's reports, and the tables of what they answered"""

from __future__ import annotations

import getpass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from radflow.errors import ConfigError
from radflow.terminal import console, print_table

review_app = typer.Typer()

NEEDED = ("starlette", "uvicorn")


@review_app.command()
def review(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    reviewer: Annotated[
        str | None, typer.Option(help="Who answers; each has answers and an order of their own.")
    ] = None,
    cases: Annotated[int, typer.Option(min=1, help="Studies that are drawn, the same for everybody.")] = 50,
    ids: Annotated[
        Path | None, typer.Option(help="Text file of study ids, one a line: these instead of a draw.")
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(help="Whose reports are reviewed; twice for two. Default: rft and sft."),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Don't serve: sum up all answers, in tables and labels.csv.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="With --table: folder for them; default RUN/review.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a --host that other machines can reach.")
    ] = False,
) -> None:
    """Let people judge a run's reports in the browser: critical, consistent, which is better, what is wrong.

    Example: radflow review runs/first --reviewer anna, and later radflow review runs/first --table
    """
    if table:
        from radflow.review.table_files import table_of_run

        for one in table_of_run(run, out or run / "review"):
            print_table(one)
        console.print(f"written: {out or run / 'review'}/table.json, table.md, labels.csv", markup=False)
        return
    if out is not None:
        raise ConfigError("--out does nothing without --table", next_step="Add --table, or leave it out.")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigError(
            f"the review pages need {' and '.join(missing)}",
            next_step='Install them: pip install "radflow[app]"',
        )
    from radflow.review.server import Serving, serve

    who = reviewer if reviewer is not None else getpass.getuser()
    serve(Serving(run, who, host, port, allow_remote, cases, ids, system or ()))
