"""`radflow init`: data are recognised, and what it writes is a config that runs."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from radflow.config import RunConfig
from radflow.config_file import load_config
from radflow.errors import ConfigError, DataError
from radflow.stages.pipeline import require_known_names, run_stages
from radflow.starting.answers import answers_from
from radflow.starting.layout import columns_of, find_layout
from radflow.starting.new_config import write_config

URL = "http://127.0.0.1:8080/v1"
DEFAULTS = {"data": "phantoms", "modality": "chest", "model": "tiny", "judge": "rules"}
TINY_COUNTS = (
    "data.phantoms.train=40", "data.phantoms.validation=6", "data.phantoms.test=8", "data.phantoms.size=32",
    "engine.workers=1", "model.tiny.image_size=32", "model.tiny.patch_size=8", "model.tiny.hidden_size=32",
    "model.tiny.vision_layers=1", "model.tiny.language_layers=1", "model.tiny.warmup_epochs=1",
    "sft.epochs=1",
    "explore.generation.max_new_tokens=16", "rft.steps=2", "rft.prompts_per_step=2", "rft.group_size=4",
    "rft.max_new_tokens=16", "rft.validate_every=2", "rft.validation_studies=4",
    "evaluate.generation.max_new_tokens=16", "evaluate.bootstrap_samples=100",
)  # fmt: skip


def written(tmp_path: Path, **answers: str) -> RunConfig:
    out = tmp_path / "new.yaml"
    write_config(answers_from(**{**DEFAULTS, **answers}), out)
    config = load_config(out)
    require_known_names(config, config.stages)
    return config


@pytest.mark.parametrize(
    ("modality", "model", "judge"),
    list(product(("chest", "carotid"), ("tiny", "efficientnet-smollm2", "owner/model"), ("rules", URL))),
)
def test_every_combination_is_a_config_that_passes(
    tmp_path: Path, modality: str, model: str, judge: str
) -> None:
    config = written(tmp_path, modality=modality, model=model, judge=judge)
    assert (config.data.phantoms.modality, config.model.name) == (modality, model)
    assert config.annotate.asks_model == (judge == URL)
    ontologies = {config.explore.ontology, config.annotate.ontology, config.reward.ontology}
    assert ontologies == {config.evaluate.ontology}
    comments = [line for line in (tmp_path / "new.yaml").read_text().splitlines() if "#" in line]
    assert len(comments) > 10


@pytest.mark.slow
def test_the_phantom_config_runs(tmp_path: Path) -> None:
    written(tmp_path)
    config = load_config(tmp_path / "new.yaml", overrides=TINY_COUNTS)
    run_stages(config, tmp_path / "run")
    assert (tmp_path / "run" / "report.html").is_file()


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_columns_of_a_table_are_recognised_by_name_and_content(tmp_path: Path) -> None:
    rows = [
        {"Study ID": f"a{n}", "subject_id": n // 2, "frontal": f"x/{n}.png", "Findings": "Clear.",
         "Impression": "Normal.", "split": "train"}
        for n in range(4)
    ]  # fmt: skip
    config = written(tmp_path, data=str(write_csv(tmp_path / "t.csv", rows)))
    table = config.data.table
    assert (table.id_column, table.patient_column, table.split_column) == ("Study ID", "subject_id", "split")
    assert (table.findings_column, table.impression_column) == ("Findings", "Impression")
    assert table.report_column is None
    assert table.image_columns == ("frontal",)
    assert config.data.split.method == "source"
    assert config.data.root == tmp_path / "t.csv"


def test_a_folder_with_one_table_is_that_table(tmp_path: Path) -> None:
    rows = [{"uid": n, "text": "Clear.", "image": "a.dcm", "lateral_image": "b.dcm"} for n in range(3)]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    layout = find_layout(str(folder))
    assert layout.table["report_column"] == "text"
    assert layout.table["image_columns"] == ("image", "lateral_image")
    assert layout.split == {"method": "seeded"}
    (folder / "u.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="2 tables"):
        find_layout(str(folder))


def test_a_repeated_id_is_no_id() -> None:
    rows = [{"id": "same", "number": f"n{n}", "report": "Clear.", "image": "a.png"} for n in range(3)]
    assert columns_of(rows, where="t")["id_column"] == "number"


@pytest.mark.parametrize("column", ["report", "comment", "patient_id", "patient_name", "birth_date"])
def test_reports_and_persons_are_no_ids(column: str) -> None:
    """Ids stand in logs, errors and names of files."""
    cells = {"report": "No effusion, {} cm.", "comment": "Seen at {} cm.", "birth_date": "1950-01-1{}"}
    rows = [
        {"id": "same", "report": "Clear.", "image": "a.png", column: cells.get(column, "Doe{}").format(n)}
        for n in range(3)
    ]
    with pytest.raises(DataError, match=r"ids.*; id has repeated or empty cells"):
        columns_of(rows, where="t")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "1", "image": "a.png", "words": "Clear."}, "reports"),
        ({"id": "1", "report": "Clear."}, "images"),
        ({"report": "Clear." * 20, "image": "a.png"}, "ids"),
    ],
)
def test_a_missing_column_is_an_error_without_cells(row: dict[str, str], told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        columns_of([row], where="t")
    assert "Clear" not in str(caught.value)


def test_iu_and_mimic_layouts_are_recognised(tmp_path: Path) -> None:
    iu, mimic = tmp_path / "iu", tmp_path / "mimic"
    (iu / "ecgen-radiology").mkdir(parents=True)
    (iu / "ecgen-radiology" / "1.xml").write_text("<x/>")
    (mimic / "files" / "p10").mkdir(parents=True)
    assert find_layout(str(iu)).source == "iu_xray"
    assert find_layout(str(iu)).split == {"method": "seeded"}
    (iu / "annotation.json").write_text("{}")
    assert find_layout(str(iu)).split["method"] == "r2gen"
    assert find_layout(str(mimic)).source == "mimic_cxr"
    assert written(tmp_path, data=str(mimic)).data.source == "mimic_cxr"
    with pytest.raises(DataError, match="no known layout"):
        find_layout(str(mimic / "files" / "p10"))


@pytest.mark.data
def test_the_real_collection_is_recognised(real_data: Path, tmp_path: Path) -> None:
    config = written(tmp_path, data=str(real_data / "iu_xray"))
    assert (config.data.source, config.data.split.method) == ("iu_xray", "r2gen")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"data": "nowhere"}, "nothing is there"),
        ({"modality": "knee"}, "docs/labeler.md"),
        ({"model": "huge"}, "efficientnet-smollm2"),
        ({"judge": "https://example.org/v1"}, "patient data"),
        ({"judge": "gpt"}, "http://HOST:PORT/v1"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answers: dict[str, str], told: str) -> None:
    with pytest.raises((ConfigError, DataError), match=told):
        answers_from(**{**DEFAULTS, **answers})


def init(*arguments: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "radflow", "init", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, **more)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "radflow.yaml").write_text("mine")
    done = init("--data", "phantoms", cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "there already" in done.stderr
    assert (tmp_path / "radflow.yaml").read_text() == "mine"


def test_questions_are_asked_in_a_terminal(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, b"phantoms\ncarotid\n\n\n")
    done = init("-o", "new.yaml", cwd=tmp_path, stdin=terminal)
    os.close(controller)
    os.close(terminal)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stderr for word in ("Data:", "Modality:", "Model:", "Judge:"))
    config = load_config(tmp_path / "new.yaml")
    assert (config.data.phantoms.modality, config.model.name) == ("carotid", "tiny")
