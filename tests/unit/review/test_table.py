"""What is concluded from answers: who can't tell is in no rate, sides don't matter, files hold it all."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.review_run import make_review_run

from radflow.clinical.criticality_file import read_labels
from radflow.clinical.judge_errors import CATEGORIES, ErrorCategory
from radflow.errors import RunError
from radflow.review.answers import Answer, Task, open_answers
from radflow.review.questions import Material, Question, read_material
from radflow.review.table import majority, review_table
from radflow.review.table_files import as_json, as_markdown, cells, table_of_run


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return read_material(make_review_run(tmp_path_factory.mktemp("review") / "run"))


def answer(
    material: Material,
    task: Task,
    number: int,
    choice: str,
    *systems: str,
    reviewer: str = "anna",
    errors: Mapping[ErrorCategory, tuple[int, int]] | None = None,
) -> Answer:
    question = Question(task, f"s{number}", systems)
    return Answer(
        reviewer=reviewer,
        task=task,
        study_id=question.study_id,
        systems=systems,
        choice=choice,
        errors=None if errors is None else dict(errors),
        texts=material.digest(question),
        time="2026-01-01T00:00:00+00:00",
    )


def label_all(material: Material, reviewer: str = "anna") -> list[Answer]:
    """Right by the run's making: studies 0, 3, 6 and 9 are critical; 1 she can't tell."""
    return [
        answer(
            material, "criticality", n, "unsure" if n == 1 else "normal" if n % 3 else "critical",
            reviewer=reviewer,
        )
        for n in range(10)
    ]  # fmt: skip


def test_judges_are_held_against_people(material: Material) -> None:
    rows = {row.judge: row for row in review_table(material, label_all(material)).judges}
    assert rows["rules"].rates.recall[3:] == (4, 4)
    assert rows["rules"].rates.false_positive_rate[3:] == (0, 5)
    assert rows["a-model"].rates.recall[3:] == (1, 4)
    assert rows["a-model"].rates.precision[3:] == (1, 1)
    assert rows["a-model"].agreed.pairs == 9


def test_flipped_verdicts_of_the_noise_experiment_are_no_verdicts(tmp_path: Path) -> None:
    root = make_review_run(tmp_path / "run")
    path = root / "criticality.jsonl"
    path.write_text(path.read_text().replace("said so", "flipped for the noise experiment; it was: so"))
    material = read_material(root)
    assert [row.judge for row in review_table(material, label_all(material)).judges] == ["rules"]


def test_consistency_rules_are_held_against_people(material: Material) -> None:
    """SFT's odd reports deny in the Findings what the Impression says; she sees it in three of four."""
    answers = [
        answer(material, "consistency", n, "inconsistent" if n in (1, 3, 5) else "consistent", "sft")
        for n in range(8)
    ]
    (row,) = review_table(material, answers).judges
    assert (row.task, row.judge) == ("consistency", "rules")
    assert row.rates.recall[3:] == (3, 3)
    assert row.rates.false_positive_rate[3:] == (1, 5)


def test_the_label_is_what_most_say_and_empty_where_they_are_divided(material: Material) -> None:
    votes = {
        0: ("critical", "critical", "normal"),
        1: ("critical", "normal"),
        2: ("unsure", "normal"),
        3: ("unsure",),
    }
    answers = [
        answer(material, "criticality", study, choice, reviewer=f"r{place}")
        for study, choices in votes.items()
        for place, choice in enumerate(choices)
    ]
    assert review_table(material, answers).labels == {"s0": True, "s1": None, "s2": False, "s3": None}


def test_reviewers_agree_on_what_both_could_tell(material: Material) -> None:
    mine, other = label_all(material), label_all(material, "ben")
    other[3] = answer(material, "criticality", 3, "normal", reviewer="ben")
    (row,) = review_table(material, [*mine, *other]).agreement
    assert (row.first, row.second, row.agreed.pairs) == ("anna", "ben", 9)
    assert row.agreed.raw == pytest.approx(8 / 9)


def test_which_side_a_report_stood_on_does_not_matter(material: Material) -> None:
    answers = [
        answer(material, "comparison", 0, "left", "rft", "sft"),
        answer(material, "comparison", 1, "right", "sft", "rft"),
        answer(material, "comparison", 2, "left", "sft", "rft"),
        answer(material, "comparison", 3, "equal", "rft", "sft"),
        answer(material, "comparison", 4, "both_bad", "rft", "sft"),
    ]
    (row,) = review_table(material, answers).preferences
    assert (row.who, row.first, row.second) == ("anna", "rft", "sft")
    assert (row.wins, row.equal, row.both_bad) == ((2, 1), 1, 1)
    assert row.share[3:] == (2, 3)
    assert row.left[3:] == (2, 3)


def test_of_several_reviewers_each_case_counts_once(material: Material) -> None:
    answers = [
        answer(material, "comparison", 0, choice, "rft", "sft", reviewer=name)
        for name, choice in (("a", "left"), ("b", "left"), ("c", "right"))
    ]
    rows = {row.who: row for row in review_table(material, answers).preferences}
    assert rows["all"].wins == (1, 0)
    assert rows["all"].share.of == 1
    assert rows["c"].wins == (0, 1)


def test_errors_are_per_report_and_compared_on_the_same_studies(material: Material) -> None:
    answers = [
        answer(
            material, "errors", n, "counted", system, reviewer=who,
            errors=dict.fromkeys(CATEGORIES, (0, 0)) | {"missing_finding": (count, 1)},
        )
        for n in range(6)
        for system, who, count in (("rft", "a", 1), ("sft", "a", 2), ("sft", "b", 4))
    ]  # fmt: skip
    table = review_table(material, answers)
    rows = {row.system: row for row in table.errors}
    assert rows["sft"].significant is not None
    assert (rows["sft"].significant.value, rows["sft"].reports) == (3, 6)
    assert rows["sft"].by_category["missing_finding"] == (3, 1)
    assert table.fewer_errors is not None
    assert table.fewer_errors.value == -2


def test_answers_about_other_texts_are_counted_and_left_out(material: Material) -> None:
    answers = label_all(material)
    answers[0] = answers[0].model_copy(update={"texts": "0" * 12})
    table = review_table(material, answers)
    assert table.outdated == 1
    assert "s0" not in table.labels
    assert "1 answers are about texts" in as_markdown(table)


@given(st.lists(st.sampled_from("ab"), max_size=9))
def test_a_majority_has_more_votes_than_any_other(votes: list[str]) -> None:
    found, first, second = majority(votes), votes.count("a"), votes.count("b")
    assert found == (None if first == second else "a" if first > second else "b")


def test_files_and_the_label_file_is_read_where_labels_are_wanted(tmp_path: Path) -> None:
    root = make_review_run(tmp_path / "run")
    material = read_material(root)
    with open_answers(root, "anna") as file:
        for one in label_all(material):
            file.append(one)
    tables = table_of_run(root, root / "review")
    assert [table.title for table in tables] == ["Answers (can't tell)", "Judges against reviewers"]
    labels = read_labels(root / "review/labels.csv")
    assert labels == {f"s{n}": None if n == 1 else n % 3 == 0 for n in range(10)}
    assert json.loads((root / "review/table.json").read_text())["judges"][0]["recall"]["hits"] == 4
    assert "| Criticality | rules | 9 |" in (root / "review/table.md").read_text()
    assert next(csv.reader((root / "review/labels.csv").open())) == ["id", "is_critical"]


def test_every_number_of_the_table_can_be_written(material: Material) -> None:
    errors = dict.fromkeys(CATEGORIES, (0, 0))
    answers = [
        *label_all(material),
        *label_all(material, "b|en"),
        answer(material, "comparison", 0, "both_bad", "rft", "sft"),
        answer(material, "errors", 0, "counted", "rft", errors=errors),
        answer(material, "consistency", 0, "unsure", "rft"),
    ]
    table = review_table(material, answers)
    assert json.loads(json.dumps(as_json(table), allow_nan=False))["errors"][0]["reports"] == 1
    assert len(cells(table)) == 5
    assert "b\\|en" in as_markdown(table)


def test_a_run_without_answers_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nobody has answered") as caught:
        table_of_run(make_review_run(tmp_path / "run"), tmp_path)
    assert "radflow review" in str(caught.value)
    with pytest.raises(RunError) as caught:
        table_of_run(tmp_path / "no_run", tmp_path)
    assert "answered" not in str(caught.value)
