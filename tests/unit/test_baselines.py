"""The two baselines: the report written most often, and the report of the image most alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.data.sections import parse_report
from radflow.models.baselines import most_frequent_report, nearest_image_reports
from radflow.records import Study


def study(study_id: str, text: str | None = None, *, image: str | None = None) -> Study:
    report = parse_report(text or f"IMPRESSION: Case {study_id}.")
    return Study(study_id=study_id, split="train", images=(image or f"{study_id}.png",), report=report)


@pytest.fixture
def train(tmp_path: Path) -> list[Study]:
    """A black study, a uniformly grey one and 300 random ones, more than a batch."""
    generator = np.random.default_rng(0)
    studies = [study(f"s{number}") for number in range(302)]
    for number, row in enumerate(studies):
        pixels = generator.integers(0, 256, (40, 40), dtype=np.uint8)
        if number < 2:
            pixels[:] = 130 * number
        Image.fromarray(pixels).save(tmp_path / row.images[0])
    return studies


def nearest(train: list[Study], queries: list[Study], root: Path) -> list[str]:
    return nearest_image_reports(train, queries, image_root=root)


def report(study_id: str) -> str:
    return f"IMPRESSION: Case {study_id}."


def test_most_frequent_report_is_taken() -> None:
    texts = ["IMPRESSION: A.", "IMPRESSION: B.", "IMPRESSION: B."]
    assert most_frequent_report([study(str(n), text) for n, text in enumerate(texts)]) == "IMPRESSION: B."


def test_of_equally_frequent_reports_the_first_by_text_is_taken_in_any_order() -> None:
    studies = [study(str(n), f"IMPRESSION: {letter}.") for n, letter in enumerate("CABBAC")]
    assert most_frequent_report(studies) == most_frequent_report(studies[::-1]) == "IMPRESSION: A."


def test_reports_that_differ_in_line_breaks_only_are_the_same() -> None:
    studies = [study("a", "IMPRESSION: B.\n"), study("b", "Impression:\nB."), study("c", "IMPRESSION: A.")]
    assert most_frequent_report(studies) == "IMPRESSION: B."


def test_the_constant_baseline_does_not_skip_a_section() -> None:
    texts = ["IMPRESSION: B."] * 3 + ["FINDINGS: Clear. IMPRESSION: A."]
    frequent = most_frequent_report([study(str(n), text) for n, text in enumerate(texts)])
    assert parse_report(frequent).findings == "Clear."


def test_training_image_finds_its_own_report(train: list[Study], tmp_path: Path) -> None:
    assert nearest(train, train[2:], tmp_path) == [report(row.study_id) for row in train[2:]]


def test_brightness_and_contrast_do_not_matter(train: list[Study], tmp_path: Path) -> None:
    with Image.open(tmp_path / "s7.png") as image:
        pixels = np.asarray(image) // 2 + 60
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "dim.png")
    assert nearest(train, [study("dim")], tmp_path) == [report("s7")]


@pytest.mark.filterwarnings("error")
def test_constant_image_finds_some_report(train: list[Study], tmp_path: Path) -> None:
    assert nearest(train, train[:2], tmp_path)[0] in {report(row.study_id) for row in train}


def test_no_queries_find_no_reports(train: list[Study], tmp_path: Path) -> None:
    assert nearest(train, [], tmp_path) == []


def test_colour_and_size_are_levelled(train: list[Study], tmp_path: Path) -> None:
    with Image.open(tmp_path / "s9.png") as image:
        image.convert("RGB").resize((80, 80), Image.Resampling.NEAREST).save(tmp_path / "big.png")
    assert nearest(train, [study("big")], tmp_path) == [report("s9")]
