"""Reports for given studies: chosen by consistency, the same in any company; one bad study costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.delivery.images import write_dicom, write_picture

from radflow.config import GenerationConfig
from radflow.delivery import report_writer
from radflow.delivery.given import GivenStudy, HowToRead, find_given
from radflow.delivery.report_writer import Decoding, ReportWriter
from radflow.delivery.writing import Author, open_author
from radflow.delivery.written import WrittenReport
from radflow.records import Candidate, LeftOut, Study

AGREES = "FINDINGS: Clear lungs. No pleural effusion.\nIMPRESSION: No pleural effusion."
DISAGREES = "FINDINGS: No pneumothorax.\nIMPRESSION: Large right pneumothorax."
WORSE = "FINDINGS: No pneumothorax. No pleural effusion.\nIMPRESSION: Pneumothorax and pleural effusion."
NO_IMPRESSION = "FINDINGS: Clear lungs."
Says = Callable[[str, float, int], tuple[str, bool]]
"""Study id, temperature, number of the call's row -> text, and whether it ended."""


@pytest.fixture(scope="module")
def author(whole_run: Path) -> Author:
    return open_author(whole_run, None, device="cpu")


@pytest.fixture
def studies(tmp_path: Path) -> tuple[GivenStudy, ...]:
    files = [write_picture(tmp_path / f"{name}.png", seed=n) for n, name in enumerate("abcde")]
    return find_given(files, HowToRead()).studies


def write(author: Author, studies: Sequence[GivenStudy], **decoding: Any) -> list[WrittenReport | LeftOut]:
    writer = ReportWriter(author, Decoding(**decoding), ontology="chest-xray")
    return sorted(writer.write(studies), key=lambda row: row.study_id)


def texts(rows: Sequence[WrittenReport | LeftOut]) -> dict[str, str]:
    return {row.study_id: row.text for row in rows if isinstance(row, WrittenReport)}


@pytest.fixture
def model_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[Says], list[tuple[list[str], float]]]:
    """Let the model write what a function says; returns the calls: studies and temperature."""

    def put(says: Says) -> list[tuple[list[str], float]]:
        calls: list[tuple[list[str], float]] = []

        def batch(
            _: Any, studies: Sequence[Study], __: Any, config: GenerationConfig, *, image_root: Path
        ) -> list[Candidate]:
            calls.append(([study.study_id for study in studies], config.temperature))
            found = [says(study.study_id, config.temperature, row) for row, study in enumerate(studies)]
            return [
                Candidate(study_id=study.study_id, text=text, tokens=5, finished=finished)
                for study, (text, finished) in zip(studies, found, strict=True)
            ]

        monkeypatch.setattr(report_writer, "generate_batch", batch)
        return calls

    return put


def test_the_greedy_report_stays_when_its_sections_agree(
    author: Author, studies: tuple[GivenStudy, ...], model_says: Any
) -> None:
    calls = model_says(lambda *_: (AGREES, True))
    assert set(texts(write(author, studies, best_of=4)).values()) == {AGREES}
    assert {temperature for _, temperature in calls} == {0.0}


def test_of_candidates_the_one_with_the_fewest_problems_is_kept(
    author: Author, studies: tuple[GivenStudy, ...], model_says: Any
) -> None:
    """Neither one without an Impression nor one that was cut counts as better: leaving out must not pay."""
    sampled = [(NO_IMPRESSION, True), (AGREES, False), (DISAGREES, True), (WORSE, True)]
    calls = model_says(lambda _, hot, row: sampled[row] if hot else (WORSE, True))
    (row,) = write(author, studies[:1], best_of=5, temperature=0.9)
    assert isinstance(row, WrittenReport)
    assert row.text == DISAGREES
    assert row.consistency.verdict == "inconsistent"
    assert row.candidates == 5
    assert calls == [(["a.png"], 0.0), (["a.png"] * 4, 0.9)]


def test_an_agreeing_candidate_wins(author: Author, studies: tuple[GivenStudy, ...], model_says: Any) -> None:
    model_says(lambda name, hot, row: (AGREES, True) if hot and row == 2 else (f"{DISAGREES} {name}", True))
    assert set(texts(write(author, studies, best_of=4)).values()) == {AGREES}


def test_what_is_sampled_for_a_study_depends_on_it_and_the_seed_only(
    author: Author, studies: tuple[GivenStudy, ...]
) -> None:
    """The tiny model writes no sections, so that every study is sampled for; of equals the first stays."""

    class Watched(ReportWriter):
        def _candidates(self, studies: Sequence[Study], folder: Path, *, temperature: float) -> Any:
            found = super()._candidates(studies, folder, temperature=temperature)
            if temperature:
                sampled.setdefault(studies[0].study_id, []).append([one.candidate.text for one in found])
            return found

    sampled: dict[str, list[list[str]]] = {}
    for company, seed in ((studies, 1), (studies[2:3], 1), (studies[2:3], 2)):
        writer = Watched(author, Decoding(best_of=4, temperature=1.0, seed=seed), ontology="chest-xray")
        list(writer.write(company))
    together, alone, other_seed = sampled["c.png"]
    assert together == alone
    assert alone != other_seed


def test_a_bad_image_costs_no_other_study(author: Author, tmp_path: Path) -> None:
    files = [write_picture(tmp_path / "a.png"), tmp_path / "gone.png", tmp_path / "cut.png"]
    files[2].write_bytes(files[0].read_bytes()[:60])
    rows = write(author, find_given(files, HowToRead()).studies)
    assert [type(row) for row in rows] == [WrittenReport, LeftOut, LeftOut]
    assert {row.reason for row in rows if isinstance(row, LeftOut)} == {"unreadable_image"}
    assert all(file.name in str(row) for file, row in zip(sorted(files), rows, strict=True))


def test_a_study_that_the_model_fails_on_costs_no_other(
    author: Author, studies: tuple[GivenStudy, ...], model_says: Any
) -> None:
    def says(name: str, *_: Any) -> tuple[str, bool]:
        if name == "c.png":
            raise IndexError("the prompt of a patient")
        return AGREES, True

    model_says(says)
    rows = write(author, studies)
    assert texts(rows).keys() == {"a.png", "b.png", "d.png", "e.png"}
    assert LeftOut(study_id="c.png", reason="failed", detail="IndexError") in rows


def test_a_study_shows_no_more_images_than_the_model_was_trained_on(author: Author, tmp_path: Path) -> None:
    files = [write_picture(tmp_path / f"{n}.png") for n in range(3)]
    files[0].write_bytes(b"\x89PNG\r\n\x1a\n")
    files.append(write_picture(tmp_path / "3.png"))
    rows = list(
        ReportWriter(author, Decoding(), ontology="chest-xray").write(
            find_given(files, HowToRead(as_one=True)).studies
        )
    )
    (row,) = (row for row in rows if isinstance(row, WrittenReport))
    assert row.images == (str(files[1]), str(files[2]))
    assert row.left_out == 2


@pytest.mark.parametrize(
    ("views", "shown"),
    [
        (["LL", "PA", "AP AXIAL"], [1, 2]),
        (["LL", None, "LATERAL"], [1]),  # an unknown view stands in
        (["LL", None, "AP"], [2]),
        (["LL", "SWIMMERS"], []),
    ],
)
def test_a_model_of_frontal_views_is_shown_no_other(
    views: list[str | None], shown: list[int], author: Author, tmp_path: Path
) -> None:
    """However many images it takes, and in the given order."""
    files = [
        write_dicom(tmp_path / f"{number}.dcm", number=number, ViewPosition=view)
        for number, view in enumerate(views)
    ]
    settings = author.settings.model_copy(update={"views": "frontal", "max_images": 8})
    studies = find_given(files, HowToRead(as_one=True)).studies
    (row,) = write(replace(author, settings=settings), studies)
    if shown:
        assert isinstance(row, WrittenReport)
        assert row.images == tuple(str(files[place]) for place in shown)
        assert row.left_out == len(files) - len(shown)
    else:
        assert isinstance(row, LeftOut)
        assert row.reason == "no_frontal_view"


def test_an_unreadable_frontal_image_is_not_replaced_by_a_lateral_one(author: Author, tmp_path: Path) -> None:
    files = [
        write_dicom(tmp_path / "1.dcm", number=1, ViewPosition="PA"),
        write_dicom(tmp_path / "2.dcm", number=2, ViewPosition="LL"),
    ]
    content = files[0].read_bytes()
    files[0].write_bytes(content[: len(content) - 800])
    settings = author.settings.model_copy(update={"views": "frontal"})
    rows = write(replace(author, settings=settings), find_given(files, HowToRead(as_one=True)).studies)
    assert [(type(row), getattr(row, "reason", None)) for row in rows] == [(LeftOut, "unreadable_image")]


def test_all_views_are_shown_to_a_model_of_all(author: Author, tmp_path: Path) -> None:
    file = write_dicom(tmp_path / "1.dcm", ViewPosition="LL")
    (row,) = write(author, find_given([file], HowToRead()).studies)
    assert isinstance(row, WrittenReport)


def test_the_indication_reaches_the_model(author: Author, tmp_path: Path) -> None:
    file = write_picture(tmp_path / "a.png")
    plain, asked = (
        texts(write(author, find_given([file], HowToRead(indication=said)).studies))["a.png"]
        for said in (None, "Fell from a ladder, pain on the left side of the chest.")
    )
    assert plain != asked


def test_what_decides_the_text_is_in_the_fingerprint(author: Author) -> None:
    def made_with(**decoding: Any) -> str:
        return ReportWriter(author, Decoding(**decoding), ontology="chest-xray").made_with

    assert made_with() == made_with(batch_size=3, seed=9)  # neither changes a greedy report
    assert len({made_with(), made_with(max_new_tokens=5), made_with(best_of=2)}) == 3
    assert made_with(best_of=2) != made_with(best_of=2, seed=9)
