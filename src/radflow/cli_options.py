"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(help="YAML file with the settings of a run, see configs/.")]
OutFolder = Annotated[
    Path | None, typer.Option("-o", "--out", help="Run folder; default runs/NAME-OF-THE-CONFIG.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting, e.g. --set rft.learning_rate=1e-5.")
]
JudgeFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file with the section judge, for metrics that ask one.")
]
ScoringFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file with the sections reward and judge.")
]
Redo = Annotated[
    str | None, typer.Option(help="Delete what this stage and all later ones made, and run it again.")
]
Launch = Annotated[
    str | None,
    typer.Option(help='Start trainings by this launcher, e.g. "accelerate launch --num_processes 4".'),
]
Reports = Annotated[Path, typer.Argument(help="CSV, JSONL, Parquet, or a folder of .txt files.")]
IdColumn = Annotated[str, typer.Option(help="Column with the report's id.")]
ReportColumn = Annotated[str, typer.Option(help="Column with the report's text.")]
OntologyName = Annotated[str, typer.Option(help="chest-xray, carotid-ultrasound, or your own .yaml file.")]
