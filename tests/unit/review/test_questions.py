"""Which questions are asked: blinded, in an order of each reviewer's own, and the same at every start."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.review_run import STUDIES, make_review_run, written_by

from radflow.errors import DataError, RunError
from radflow.review.answers import Answer
from radflow.review.questions import (
    Material,
    Question,
    drawn_studies,
    in_reviewers_order,
    questions_of,
    read_ids,
    read_material,
)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return read_material(make_review_run(tmp_path_factory.mktemp("review") / "run"))


def test_every_study_is_asked_about_but_equal_reports_are_not_compared(material: Material) -> None:
    found = questions_of(material, drawn_studies(material, 99))
    counts = {task: len(questions) for task, questions in found.items()}
    assert counts == {
        "criticality": STUDIES,
        "consistency": 2 * STUDIES,
        "comparison": STUDIES - 1,
        "errors": 2 * STUDIES,
    }


def test_a_larger_draw_keeps_the_smaller_one(material: Material) -> None:
    assert drawn_studies(material, 9)[:4] == drawn_studies(material, 4)


def test_orders_are_of_each_reviewer_and_stay(material: Material) -> None:
    questions = questions_of(material, drawn_studies(material, 99))["comparison"]
    anna, again = (in_reviewers_order(questions, material, "anna") for _ in range(2))
    ben = in_reviewers_order(questions[::-1], material, "ben")
    assert anna == again
    assert [one.study_id for one in anna] != [one.study_id for one in ben]
    assert {one.key for one in anna} == {one.key for one in ben}


def test_sides_are_drawn(material: Material) -> None:
    one = [Question("comparison", f"s{number}", ("rft", "sft")) for number in range(400)]
    left = [question.systems[0] for question in in_reviewers_order(one, material, "anna")]
    assert 150 < left.count("rft") < 250


def test_answers_to_other_texts_no_longer_hold(material: Material) -> None:
    question = Question("comparison", "s1", ("sft", "rft"))
    answer = Answer(
        reviewer="anna", task="comparison", study_id="s1", systems=("sft", "rft"), choice="left",
        texts=material.digest(question), time="2026-01-01",
    )  # fmt: skip
    assert material.still_holds(answer)
    assert not material.still_holds(answer.model_copy(update={"texts": "0" * 12}))
    assert not material.still_holds(answer.model_copy(update={"systems": ("sft", "gone")}))
    assert not material.still_holds(answer.model_copy(update={"study_id": "gone"}))


def test_consistency_is_judged_without_the_reference(material: Material) -> None:
    assert material.shown(Question("consistency", "s1", ("sft",))) == {"sft": written_by("sft", 1)}


def test_unknown_systems_ids_and_runs_are_named(material: Material, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="'rtf'") as caught:
        read_material(material.root, systems=["rtf"])
    assert "Did you mean rft?" in str(caught.value)
    with pytest.raises(DataError, match="the first is s99"):
        drawn_studies(material, 5, ["s1", "s99"])
    with pytest.raises(RunError, match=r"no studies\.jsonl"):
        read_material(tmp_path)


def test_ids_are_read_from_a_file(material: Material, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("# mine\ns3\n\n s1 \ns3\n")
    assert drawn_studies(material, 1, read_ids(tmp_path / "ids.txt")) == ["s3", "s1"]


def test_a_run_without_evaluation_has_references_to_label(tmp_path: Path) -> None:
    root = make_review_run(tmp_path / "run")
    (root / "predictions.jsonl").unlink()
    material = read_material(root)
    found = questions_of(material, drawn_studies(material, 99))
    assert len(found["criticality"]) == STUDIES
    assert not found["comparison"]
