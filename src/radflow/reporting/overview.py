"""The first screen of a report, what was trained on what and what came of it, and where it all came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from radflow.reporting.metric_sections import against_baselines, gains, gains_in_words
from radflow.reporting.run_files import RunFiles
from radflow.reporting.scales import short
from radflow.reporting.training_sections import signature_names, verdict
from radflow.reporting.view import Section, Table

SOURCES = {"phantoms": "generated phantoms", "iu_xray": "Indiana University chest X-rays", "table": "a table"}


@dataclass(frozen=True)
class Tile:
    """A heading with a few short lines, and rows of a name and a value."""

    title: str
    lines: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()


def tiles(files: RunFiles) -> tuple[Tile, ...]:
    """What came of it, first whether it beats what needs no training; then data, model and training."""
    found = [
        Tile("Better than a copied report?", *against_baselines(files)),
        Tile("Gain over SFT", _gain(files), tuple(gains(files))),
        Tile("Failure signatures", (verdict(files), *signature_names(files))),
        Tile("Data", data_lines(files)),
        Tile("Model", _model(files)),
        Tile("Training", training_lines(files)),
    ]
    return tuple(tile for tile in found if tile.lines)


def _config(files: RunFiles, stage: str) -> dict[str, Any]:
    return dict(files.manifests.get(stage, {}).get("config", {}))


def source_of(files: RunFiles) -> str:
    """Name of the data source, as the settings of the run have it."""
    return str(_config(files, "prepare").get("data", {}).get("source", "unknown"))


def data_lines(files: RunFiles) -> tuple[str, ...]:
    """The source, and how many studies of it are in which split."""
    source = source_of(files)
    counts = files.facts("prepare").get("studies", {})
    left_out = sum(files.facts("prepare").get("left_out", {}).values())
    lines = [SOURCES.get(source, source), ", ".join(f"{count} {split}" for split, count in counts.items())]
    lines += [f"{left_out} left out (left_out.jsonl says why)"] if left_out else []
    return tuple(line for line in lines if line)


def _model(files: RunFiles) -> tuple[str, ...]:
    name = _config(files, "sft").get("model", {}).get("name")
    if not name:
        return ()
    # Of a local model only the folder's own name: a path tells who the user is.
    lines = [str(name).rstrip("/").rsplit("/", 1)[-1] if str(name).startswith("/") else str(name)]
    facts = files.facts("sft")
    if "parameters" in facts:
        lines.append(f"{short(facts['parameters'])} parameters, {short(facts['trainable_parameters'])} learn")
    return tuple(lines)


def training_lines(files: RunFiles) -> tuple[str, ...]:
    """Steps and studies of both trainings."""
    sft, rft = files.facts("sft"), files.facts("rft")
    lines = []
    if "steps" in sft:
        lines.append(f"SFT (supervised): {sft['steps']} steps on {sft.get('train_studies', '?')} studies")
    if sft.get("best_validation_loss") is not None:
        lines.append(f"best validation loss {short(sft['best_validation_loss'])}")
    if "rft" in files.stages:
        settings: Mapping[str, Any] = _config(files, "rft").get("rft", {})
        steps = rft.get("steps", settings.get("steps", "?"))
        lines.append(
            f"RFT (reinforcement): {str(settings.get('algorithm', '')).upper()}, {steps} steps".replace(
                " ,", ""
            )
        )
    return tuple(lines)


def _gain(files: RunFiles) -> tuple[str, ...]:
    if words := gains_in_words(files):
        return (words,)
    return ("no reinforcement fine-tuning in this run" if "rft" not in files.stages else "not compared",)


def provenance_section(files: RunFiles) -> Section:
    """Stages with their times and commits, and the packages of the last one."""
    rows = tuple(
        (
            name,
            str(manifest.get("finished", "–")),
            f"{manifest['wall_time_s']:.0f} s" if "wall_time_s" in manifest else "–",
            str(manifest.get("git_commit") or "–")[:12],
            str(manifest.get("fingerprint", "–")),
        )
        for name, manifest in files.manifests.items()
    )
    last = list(files.manifests.values())[-1] if files.manifests else {}
    versions = tuple((name, str(version)) for name, version in last.get("versions", {}).items())
    seed = last.get("config", {}).get("seed")
    tables = [Table("Stages", ("stage", "finished", "took", "commit of radflow", "fingerprint"), rows)]
    tables += [Table("Versions", ("package", "version"), versions)] if versions else []
    notes = (f"Seed {seed}.",) if seed is not None else ()
    return Section("provenance", "Where this came from", notes=notes, tables=tuple(tables))
