"""Turn what the run left in its folder into one HTML page."""

from __future__ import annotations

from typing import Any

from radflow.config import RunConfig
from radflow.jsonl import write_text_atomically
from radflow.reporting.html import render_report
from radflow.reporting.run_files import read_run
from radflow.run_dir import RunDir
from radflow.terminal import console


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """manifests, studies, predictions, scores, summary and what else the run has -> report.html"""
    page = render_report(read_run(run, config.stages), cases=config.report.cases)
    write_text_atomically(run.path("report.html"), page)
    console.print(f"report: {run.path('report.html')}", markup=False, soft_wrap=True)
    return {"bytes": len(page.encode()), "cases": config.report.cases}
