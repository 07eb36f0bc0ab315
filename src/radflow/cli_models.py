"""Commands that use a trained model: export it, and write reports for given images"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from radflow.config import TableConfig
from radflow.errors import ConfigError
from radflow.terminal import console, libraries_quiet

models = typer.Typer()

DEVICES, DTYPES = ("auto", "cpu", "cuda", "mps"), ("auto", "float32", "bfloat16")


@models.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder with a finished model.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder for the model.")],
    model: Annotated[str | None, typer.Option(help="sft or rft; default rft if the run has it.")] = None,
    dtype: Annotated[str, typer.Option(help="Precision of the weights: auto, float32 or bfloat16.")] = "auto",
    push: Annotated[
        str | None, typer.Option(help="Also upload it to the model hub, as USER/MODEL; private.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: anyone may read it.")] = False,
) -> None:
    """Write a run's model as one folder that plain transformers loads, with a model card.

    Example: radflow export runs/first -o my-model
    """
    _one_of("--dtype", dtype, DTYPES)
    if public and push is None:
        raise ConfigError("--public does nothing without --push", next_step="Add --push USER/MODEL.")
    with libraries_quiet():
        from radflow.delivery.export import export_model
        from radflow.delivery.hub import push as push_folder
        from radflow.delivery.hub import require_token

        if push is not None:
            require_token()  # said before the model is merged
        finished = export_model(run, out, wanted=model, dtype=dtype)
    console.print(
        f"model-{finished.system} -> [bold]{escape(str(out))}[/]; read its README.md before you share it"
    )
    if push is not None:
        pushed = push_folder(out, push, is_public=public)
        console.print(
            f"{'private' if pushed.is_private else 'public'}: {escape(pushed.address)}", soft_wrap=True
        )
        if public and pushed.is_private:
            console.print(
                "[yellow]warning:[/] it was there already, and --public opens new repositories only"
            )


@models.command()
def generate(
    images: Annotated[
        list[Path],
        typer.Argument(help="PNG, JPEG or DICOM files, folders of them, or tables (CSV, JSONL, Parquet)."),
    ],
    run: Annotated[Path | None, typer.Option(help="Run folder whose model writes.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="With --run: sft or rft, default rft if the run has it. Else an exported folder."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="reports.jsonl, or a folder; default the terminal.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", help="text, jsonl, fhir or sr (DICOM), for the terminal or a folder."),
    ] = None,
    study: Annotated[bool, typer.Option("--study", help="All given images are one study.")] = False,
    indication: Annotated[str | None, typer.Option(help="Clinical question, shown to the model.")] = None,
    best_of: Annotated[
        int, typer.Option(min=1, max=64, help="Of so many reports the one whose sections agree best.")
    ] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0.01, max=5, help="Of the sampled reports of --best-of; default 0.7.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampled reports of --best-of.")] = 0,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Length limit; default as in the run's evaluation.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Studies at once.")] = 8,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    ontology: Annotated[
        str | None, typer.Option(help="What checks the sections; default as in the run's evaluation.")
    ] = None,
    id_column: Annotated[str, typer.Option(help="Tables: column with the study's id.")] = "id",
    image_column: Annotated[
        list[str] | None,
        typer.Option(help="Tables: column with image paths, repeatable; default image."),
    ] = None,
    indication_column: Annotated[str | None, typer.Option(help="Tables: column with the indication.")] = None,
    image_folder: Annotated[
        Path | None, typer.Option("--images", help="Tables: folder of the images, if not the table's.")
    ] = None,
    allow_missing_preamble: Annotated[
        bool, typer.Option("--allow-missing-preamble", help="Read DICOM files without preamble too.")
    ] = False,
) -> None:
    """Write reports for images. Unverified: research software, not for the care of a patient.

    Each file is a study of its own; DICOM files in a folder are grouped by StudyInstanceUID.

    Example: radflow generate --run runs/first scan.dcm -o reports --format fhir
    """
    _one_of("--device", device, DEVICES)
    if best_of == 1 and temperature is not None:
        raise ConfigError(
            "--temperature does nothing without --best-of: a single report is greedy",
            next_step="Add --best-of N, or leave it out.",
        )
    columns = tuple(image_column or ("image",))
    table = TableConfig(id_column=id_column, image_columns=columns, indication_column=indication_column)
    try:
        with libraries_quiet():
            from radflow.delivery.generate import Asked, write_reports
            from radflow.delivery.given import HowToRead
            from radflow.delivery.report_writer import Decoding

            decoding = Decoding(
                batch_size=batch_size,
                max_new_tokens=max_new_tokens,
                best_of=best_of,
                temperature=0.7 if temperature is None else temperature,
                seed=seed,
            )
            how = HowToRead(study, indication, table, image_folder, allow_missing_preamble)
            outcome = write_reports(
                Asked(tuple(images), how, decoding, run, model, out, kind, device, ontology)
            )
    except KeyboardInterrupt:
        kept = " What is written is kept, and the same command goes on from here." if out else ""
        console.print(f"\nstopped.{kept}")
        raise typer.Exit(130) from None
    console.print(outcome.line() + (f" -> {out}" if out else ""), markup=False, soft_wrap=True)
    if not outcome.has_worked:
        raise typer.Exit(1)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"unknown value {value!r}", where=option, next_step=f"Known: {', '.join(known)}.")
