"""Answers survive kills, belong to one server at a time, and lie where only their owner reads them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import ConfigError, RunError
from radflow.review.answers import FOLDER, Answer, all_answers, digest, file_of, open_answers

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=80)


def answer(study: str = "s1", choice: str = "critical", reviewer: str = "anna") -> Answer:
    return Answer(
        reviewer=reviewer, task="criticality", study_id=study, choice=choice, texts="x", time="2026-01-01"
    )


def test_the_last_answer_counts_and_the_first_is_kept(tmp_path: Path) -> None:
    with open_answers(tmp_path, "anna") as file:
        file.append(answer(choice="critical"))
        file.append(answer(choice="normal"))
    assert [row.choice for row in all_answers(tmp_path)] == ["normal"]
    assert len(file.path.read_text().splitlines()) == 2
    with open_answers(tmp_path, "anna") as again:
        assert [row.choice for row in again.answers.values()] == ["normal"]


@pytest.mark.parametrize("torn", [b'{"reviewer": "an', b"\xff\xfe", b"x" * 100_000])
def test_a_torn_last_line_costs_nothing_but_itself(tmp_path: Path, torn: bytes) -> None:
    with open_answers(tmp_path, "anna") as file:
        file.append(answer("s1"))
    with file.path.open("ab") as handle:
        handle.write(torn)
    assert [row.study_id for row in all_answers(tmp_path)] == ["s1"]  # read while it is torn
    with open_answers(tmp_path, "anna") as again:
        again.append(answer("s2"))
    assert [row.study_id for row in all_answers(tmp_path)] == ["s1", "s2"]


def test_a_damaged_line_is_named_without_its_text(tmp_path: Path) -> None:
    with open_answers(tmp_path, "anna") as file:
        file.append(answer())
    file.path.write_text(file.path.read_text() + '{"secret": "patient"}\n')
    with pytest.raises(RunError, match=r"jsonl:2") as caught:
        list(all_answers(tmp_path))
    assert "patient" not in str(caught.value)


def test_two_servers_for_one_reviewer_are_refused_and_for_two_are_not(tmp_path: Path) -> None:
    with open_answers(tmp_path, "anna") as anna, open_answers(tmp_path, "Anna") as other:
        with pytest.raises(RunError, match="another server"), open_answers(tmp_path, "anna"):
            pass
        anna.append(answer("s1"))
        other.append(answer("s1", reviewer="Anna"))
    assert len(list(all_answers(tmp_path))) == 2
    with open_answers(tmp_path, "anna"):
        pass  # free again


def test_only_the_owner_reads_answers(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_answers(tmp_path, "anna") as file:
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / "elsewhere").write_text("")
    file_of(tmp_path / FOLDER, "anna").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="can't be written"), open_answers(tmp_path, "anna"):
        pass


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_answers(tmp_path, "anna") as file:
        file.append(answer("s1"))
        write = os.write
        with monkeypatch.context() as full:
            full.setattr(os, "write", lambda handle, line: write(handle, line[:10]))
            with pytest.raises(RunError, match="can't be written"):
                file.append(answer("s2"))
        file.append(answer("s3"))
    assert [row.study_id for row in all_answers(tmp_path)] == ["s1", "s3"]


@given(NAMES)
def test_any_name_gives_a_file_in_the_folder(name: str) -> None:
    path = file_of(Path("/run/review"), name)
    assert path.parent == Path("/run/review")
    assert path.name.isascii()
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert len(path.name) < 100


@given(NAMES, NAMES)
def test_two_names_never_share_a_file(one: str, two: str) -> None:
    assert (file_of(Path(), one) == file_of(Path(), two)) == (one == two)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "x" * 81])
def test_unusable_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="reviewer's name"):
        file_of(Path(), name)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_a_digest_is_of_the_texts_and_not_of_their_order(one: list[str], two: list[str]) -> None:
    assert (digest(*one) == digest(*two)) == (sorted(one) == sorted(two))
