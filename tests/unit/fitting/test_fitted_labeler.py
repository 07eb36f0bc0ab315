"""A fitted labeler: learns from labels, survives its file, is taken wherever a labeler is named."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from tests.unit.fitting.conftest import COLUMNS, carotid_rows, write_table
from typer.testing import CliRunner

from radflow.cli import app
from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.fitted_consistency import FittedConsistency, problem_kind
from radflow.clinical.fitted_labeler import CARD, WEIGHTS, FittedLabeler, read_card
from radflow.clinical.fitted_text import TextReader, TextSettings
from radflow.clinical.readers import open_labeler
from radflow.config import RewardConfig
from radflow.config_file import load_config
from radflow.data.phantoms.carotid import make_carotid_case
from radflow.data.sections import parse_report
from radflow.errors import ConfigError, DataError, ModelError
from radflow.fitting.labeler_files import agreement, text_settings, together
from radflow.fitting.labeler_fit import LabelerOptions, fit_labeler
from radflow.fitting.labeler_rows import read_labelled
from radflow.metrics.registry import find_metric
from radflow.metrics.score import LoadedMetric
from radflow.rewards.hierarchical import HierarchicalReward

WORDS = TextReader(TextSettings(groups=("words",)))
ALL = TextReader(TextSettings())
PRESENT = "FINDINGS: Calcified plaque in the right bulb.\nIMPRESSION: Calcified plaque."


@lru_cache(maxsize=256)
def phantom(index: int) -> str:
    report = make_carotid_case(index, seed=6).report
    return f"FINDINGS: {report.findings or 'None.'}\nIMPRESSION: {report.impression or 'None.'}"


TEXTS = st.one_of(st.integers(0, 100).map(phantom), st.text(max_size=150))


def test_it_learns_what_labels_say(labeler: FittedLabeler) -> None:
    rows = carotid_rows(150, seed=77)
    said, truth = labeler.label([text for _, text, _ in rows]), [labels for _, _, labels in rows]
    found = together(agreement(said, truth, COLUMNS))  # type: ignore[arg-type]
    assert found.f1 is not None
    assert found.f1 > 0.7


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_probabilities_sum_to_one_and_the_label_is_the_likeliest(labeler: FittedLabeler, text: str) -> None:
    row, labels = labeler.probabilities([text])[0], labeler.label([text])[0]
    assert tuple(row) == tuple(labels) == labeler.columns
    for name, states in row.items():
        assert sum(states.values()) == pytest.approx(1)
        assert labels[name] is None if not text.strip() else states[labels[name]] == max(states.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_a_text_is_read_alike_whatever_stands_beside_it(labeler: FittedLabeler, texts: list[str]) -> None:
    assert labeler.label(texts) == [labeler.label([text])[0] for text in texts]


@settings(max_examples=40, deadline=None)
@given(st.permutations(["Plaque on the left.", "No stenosis of the right.", "Flow is antegrade."]))
def test_the_order_of_sentences_is_no_difference(order: list[str]) -> None:
    plain = ["Plaque on the left.", "No stenosis of the right.", "Flow is antegrade."]
    assert ALL([" ".join(order)]) == ALL([" ".join(plain)])


def test_a_denial_reaches_to_the_end_of_its_sentence_or_a_but() -> None:
    names = WORDS(["No plaque or stenosis but thick wall. Soft plaque."])[0]
    assert {"no:plaque", "no:stenosis", "thick", "wall", "soft", "plaque", "soft plaque"} <= names
    assert "no:thick" not in names
    assert "no:soft" not in names
    german = TextReader(TextSettings(groups=("words",), negations=("kein", "keine")))
    assert "no:erguss" in german(["Kein Erguss."])[0]


def test_long_numbers_and_what_the_image_does_not_show_are_not_read() -> None:
    names = WORDS(
        ["INDICATION: stroke 12345678.\nFINDINGS: 70 % stenosis, seen 2019.\nIMPRESSION: Stenosis."]
    )[0]
    assert {"stenosis", "70"} <= names
    assert names.isdisjoint({"stroke", "12345678", "2019"})


def test_rules_can_be_asked_too() -> None:
    read = TextReader(TextSettings(groups=("rules",), ontology="chest-xray"))
    assert {"rule:Pleural Effusion=0", "rule:Pneumothorax=1"} <= read(["No effusion. Large pneumothorax."])[0]


def test_what_stands_in_one_report_only_is_not_kept(tmp_path: Path, labelled: Path) -> None:
    with labelled.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    rows[0][1] += " Discussed with Zaphodson."
    table = write_table(tmp_path / "t.csv", header, rows)
    done = CliRunner().invoke(app, ["labeler", "fit", str(table), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    kept = (tmp_path / "out" / CARD).read_text()
    assert "plaque" in kept
    assert "zaphodson" not in kept.lower()
    assert "zapho" not in kept.lower()


def test_saving_and_loading_changes_nothing(labeler: FittedLabeler, tmp_path: Path) -> None:
    labeler.save(tmp_path / "copy", {})
    again = FittedLabeler.load(tmp_path / "copy")
    texts = [phantom(index) for index in range(20)]
    assert again.model == labeler.model
    assert (again.logits(texts) == labeler.logits(texts)).all()
    assert again.probabilities(texts) == labeler.probabilities(texts)


def copied(folder: Path, out: Path, **changes: Any) -> Path:
    out.mkdir()
    (out / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    (out / CARD).write_text(json.dumps(read_card(folder) | changes))
    return out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 9}, "Update radflow"),
        ({"format": "radflow-learned-reward"}, "none of radflow's fitted labelers"),
        ({"labeler": {}}, "Field required"),
        ({"labeler": None}, "valid dictionary"),
    ],
)
def test_other_files_are_refused(
    labeler_folder: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ModelError) as caught:
        FittedLabeler.load(copied(labeler_folder, tmp_path / "other", **changes))
    assert told in str(caught.value)
    assert "radflow labeler fit" in str(caught.value)


def test_damaged_weights_are_refused(labeler_folder: Path, tmp_path: Path) -> None:
    tensors = load((labeler_folder / WEIGHTS).read_bytes())
    with pytest.raises(ModelError, match="is missing"):
        FittedLabeler.load(tmp_path)
    for number, (content, told) in enumerate(
        (
            (b"pickled?", "can't be read"),
            (save({**tensors, "weights": tensors["weights"][1:]}), "another shape"),
            (save({"weights": tensors["weights"]}), "missing"),
            (save({**tensors, "bias": tensors["bias"].astype(np.float64)}), "float32"),
            (save({**tensors, "bias": tensors["bias"] * np.float32("nan")}), "finite"),
        )
    ):
        folder = copied(labeler_folder, tmp_path / f"other{number}")
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(ModelError, match=told):
            FittedLabeler.load(folder)


def table(tmp_path: Path, labels: list[object], *, column: str = "Plaque") -> Path:
    rows = [(f"r{place}", f"Report {place} shows a thing.", label) for place, label in enumerate(labels)]
    return write_table(tmp_path / "table.csv", ("id", "report", column), rows)


def test_too_few_labelled_reports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Label more reports"):
        read_labelled(table(tmp_path, [1, 0] * 5))


def test_a_column_with_one_class_only_is_refused_or_kept_on_demand(tmp_path: Path) -> None:
    read = read_labelled(table(tmp_path, [0] * 29 + [1]))
    with pytest.raises(DataError) as caught:
        fit_labeler(read.texts, read.labels, read.columns, LabelerOptions())
    assert "29 absent" in str(caught.value)
    assert "--leave-out 'Plaque'" in str(caught.value)
    options = LabelerOptions(constants=True, strengths=(1.0,))
    kept = fit_labeler(read.texts, read.labels, read.columns, options).labeler
    assert kept.label(["Report 29 shows a thing."]) == [{"Plaque": 0}]


def test_unknown_columns_and_cells_that_are_no_label_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, [1, 0, -1, ""] * 8)
    with pytest.raises(DataError, match="Did you mean Plaque"):
        read_labelled(path, columns=["Plaques"])
    with pytest.raises(DataError, match="no column of labels is left"):
        read_labelled(path, left_out=["Plaque"])
    with pytest.raises(DataError) as caught:
        read_labelled(table(tmp_path, [1, 0] * 15 + ["Mr Zaphodson"]))
    assert "row 31" in str(caught.value)
    assert "Zaphodson" not in str(caught.value)
    assert "--leave-out 'Plaque'" in str(caught.value)


def test_labels_mean_present_absent_uncertain_not_mentioned(tmp_path: Path) -> None:
    cells: list[object] = ["1", "0", "-1", "", "1.0", " 0 ", "-1.0", " "] * 4
    read = read_labelled(table(tmp_path, cells))
    expected: list[LabelValue] = [1, 0, -1, None] * 8
    assert [row["Plaque"] for row in read.labels] == expected


def test_labels_may_stand_in_another_file(tmp_path: Path) -> None:
    texts = [(f"r{place}", f"Report {place}.") for place in range(30)]
    reports = write_table(tmp_path / "reports.csv", ("id", "report"), texts)
    labels = write_table(
        tmp_path / "l.csv", ("id", "Plaque"), [(f"r{place}", place % 2) for place in range(25)]
    )
    read = read_labelled(reports, labels=labels)
    assert (len(read.ids), read.without_labels, read.columns) == (25, 5, ("Plaque",))


def test_settings_of_the_command_are_checked() -> None:
    assert text_settings(["rules", "words"], ontology="chest-xray", negations=()).groups == ("words", "rules")
    for features, ontology in ((["rules"], None), (["words"], "chest-xray"), ([], None)):
        with pytest.raises(ConfigError):
            text_settings(features, ontology=ontology, negations=())
    with pytest.raises(ConfigError, match="Did you mean words"):
        text_settings(["word"], ontology=None, negations=())


def test_wherever_a_labeler_is_named_a_folder_will_do(labeler_folder: Path, tmp_path: Path) -> None:
    folder = str(labeler_folder)
    assert open_labeler(folder).label([PRESENT])[0]["Calcified Plaque"] == 1
    settings = RewardConfig(
        impression_labeler=folder, consistency_labeler=folder, ontology="carotid-ultrasound"
    )
    reward = HierarchicalReward(settings)
    other = PRESENT.replace("IMPRESSION: Calcified plaque", "IMPRESSION: Normal arteries")
    for text, impression in ((PRESENT, 1.0), (other, 0.0)):
        record = reward.score(references=[parse_report(PRESENT)], predictions=[text], study_ids=["a"])[0]
        assert record.terms["impression"].value == impression
        assert record.terms["consistency"].value == 1.0  # leaving out is no contradiction
    config = tmp_path / "mine.yaml"
    (tmp_path / "fitted").mkdir()
    config.write_text("reward:\n  impression_labeler: ./fitted\n")
    assert load_config(config).reward.impression_labeler == str(tmp_path / "fitted")
    with pytest.raises(ModelError, match="radflow labeler fit"):
        HierarchicalReward(RewardConfig(impression_labeler=str(tmp_path / "nowhere")))
    with pytest.raises(ValueError, match="rules or a folder"):
        RewardConfig(consistency_labeler="chexbert")


@pytest.mark.parametrize(
    ("findings", "impression", "tells", "kind"),
    [
        (1, 1, True, None),
        (0, 1, True, "contradicted"),
        (None, 1, True, "unsupported"),
        (0, 1, False, "unsupported"),
        (1, 0, True, "contradicted"),
        (1, 0, False, None),
        (1, None, True, None),
        (-1, 1, True, None),
        (None, 0, True, None),
    ],
)
def test_what_is_inconsistent_by_labels(
    findings: LabelValue, impression: LabelValue, tells: bool, kind: str | None
) -> None:
    assert problem_kind(findings, impression, tells_denials=tells) == kind


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_a_section_agrees_with_itself(labeler_folder: Path, text: str) -> None:
    checker = fitted_consistency(labeler_folder)
    report = parse_report(PRESENT).model_copy(update={"findings": text, "impression": text})
    found = checker.check(report)
    assert found.verdict == ("consistent" if text.strip() else "not_applicable")


@lru_cache(maxsize=1)
def fitted_consistency(folder: Path) -> FittedConsistency:
    return FittedConsistency(folder)


def test_an_unsupported_label_is_inconsistent(labeler_folder: Path) -> None:
    report = parse_report("FINDINGS: Both arteries are normal.\nIMPRESSION: Calcified plaque.")
    found = fitted_consistency(labeler_folder).check(report)
    assert [(one.kind, one.label) for one in found.problems] == [("unsupported", "Calcified Plaque")]
    assert found.source == "fitted"


def test_as_metrics_in_its_own_columns(labeler_folder: Path) -> None:
    texts = [PRESENT, "FINDINGS: Both arteries are normal.\nIMPRESSION: Normal."]
    for name, same, swapped in (("f1", 1.0, 0.0), ("hallucination", 0.0, 1.0), ("omission", 0.0, None)):
        metric = LoadedMetric(f"fitted-label-{name}:{labeler_folder}")
        values = metric.per_study(references=texts, predictions=[PRESENT, PRESENT])
        assert values == [same, swapped], name
    assert find_metric(f"fitted-label-f1:{labeler_folder}").backend.startswith("fitted on")


def test_the_label_command_takes_its_folder(labeler_folder: Path, tmp_path: Path) -> None:
    rows = [("a", PRESENT), ("b", ""), ("c", "Both arteries are normal.")]
    reports = write_table(tmp_path / "reports.csv", ("id", "report"), rows)

    def run(*more: object) -> Any:
        command = ["label", reports, "--labeler", labeler_folder, *more]
        return CliRunner().invoke(app, list(map(str, command)))

    assert run("-o", tmp_path / "l.csv").exit_code == 0
    with (tmp_path / "l.csv").open(newline="", encoding="utf-8") as file:
        header, *found = csv.reader(file)
    assert header == ["id", *COLUMNS]
    assert [row[:2] for row in found] == [["a", "1"], ["b", ""], ["c", "0"]]
    assert run("-o", tmp_path / "l.jsonl").exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert lines[0]["probabilities"]["Calcified Plaque"]["present"] > 0.5
    assert lines[1]["labels"] is None
    assert isinstance(run("-o", tmp_path / "l.csv", "--all").exception, ConfigError)


def test_labelling_needs_neither_torch_nor_scikit_learn(labeler_folder: Path) -> None:
    code = (
        "import sys; from radflow.clinical.readers import open_labeler; "
        f"open_labeler({str(labeler_folder)!r}).label(['Plaque.']); "
        "print([name for name in ('torch', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
