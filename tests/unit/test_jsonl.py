"""JSON lines on disk: whole files are replaced or left alone, append-only files survive a cut anywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.errors import RunError
from radflow.jsonl import (
    Appender,
    IndexedAppender,
    read_jsonl,
    write_json,
    write_jsonl,
    write_text_atomically,
)
from radflow.records import Candidate

SECRET = "Großer Pneumothorax links"


def candidate(study_id: str, text: str = "Clear.") -> Candidate:
    return Candidate(study_id=study_id, text=text, tokens=3, finished=True)


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [candidate("old")])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space"):
            write_jsonl(path, [candidate("new")])
    assert [row.study_id for row in read_jsonl(Candidate, path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_synced_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    seen: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.exists()))
    write_text_atomically(path, "text")
    assert seen == [False]
    assert path.read_text() == "text"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_file_never_holds_nan(tmp_path: Path, value: float) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"f1": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"f1": value})
    assert json.loads(path.read_text()) == {"f1": 0.5}


@settings(deadline=None)
@given(st.lists(st.builds(candidate, st.text(), st.text() | st.just("\x00\u2028\x85\r\n\ufeff\U0001f9e0"))))
def test_any_text_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Candidate]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.jsonl"
    write_jsonl(path, rows)
    assert list(read_jsonl(Candidate, path)) == rows
    assert path.read_bytes().count(b"\n") == len(rows)


def test_appender_cuts_a_torn_line_at_every_byte_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [candidate("a"), candidate("b", SECRET)])
    whole = path.read_bytes() + (candidate("c", f"{SECRET} 肺 🫁\x00").model_dump_json() + "\n").encode()
    complete = path.stat().st_size
    for end in range(complete, len(whole)):
        path.write_bytes(whole[:end])
        with Appender(path, Candidate) as rows:
            assert [row.study_id for row in rows.rows] == ["a", "b"], end
            rows.append([candidate("d")])
        assert [row.study_id for row in read_jsonl(Candidate, path)] == ["a", "b", "d"], end
        assert path.read_bytes().startswith(whole[:complete]), end


def test_appender_cuts_a_torn_first_line_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"study_id":"a"')
    with Appender(path, Candidate) as rows:
        assert rows.rows == []
    assert path.read_bytes() == b""


def test_appended_row_is_readable_before_closing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    with Appender(path, Candidate) as rows:
        rows.append([candidate("a")])
        assert [row.study_id for row in read_jsonl(Candidate, path)] == ["a"]


def test_batch_with_a_bad_row_is_written_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with Appender(path, Candidate) as rows:
        rows.append([candidate("a")])
        with pytest.raises(AttributeError):
            rows.append([candidate("b"), None])  # type: ignore[list-item]
    assert [row.study_id for row in read_jsonl(Candidate, path)] == ["a"]


@pytest.mark.parametrize(
    "line",
    [
        f'{{"study_id": "b", "text": "{SECRET}", "tokens": "many", "finished": true}}'.encode(),
        f'{{"study_id": "b", "text": "{SECRET}"'.encode(),
        f'{{"study_id": "b", "text": "{SECRET}", "tokens": 1, "finished": true, "extra": 1}}'.encode(),
        SECRET.encode("latin-1"),
        b"",
    ],
    ids=["type", "cut", "unknown field", "not UTF-8", "blank"],
)
def test_damaged_line_is_named_by_number_and_never_shown(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(candidate("a").model_dump_json().encode() + b"\n" + line + b"\n")
    with pytest.raises(RunError) as caught:
        list(read_jsonl(Candidate, path))
    assert f"{path}:2" in str(caught.value)
    assert "Pneumothorax" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"rows\.jsonl"):
        list(read_jsonl(Candidate, tmp_path / "rows.jsonl"))


def indexed(path: Path) -> IndexedAppender[Candidate]:
    return IndexedAppender(path, Candidate, key=lambda row: row.study_id)


@settings(deadline=None, max_examples=50)
@given(
    texts=st.dictionaries(st.text(min_size=1), st.text(), min_size=1, max_size=8),
    cut=st.integers(1, 200),
    order=st.randoms(use_true_random=False),
)
def test_rows_are_found_by_key_before_and_after_a_cut(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str], cut: int, order: Any
) -> None:
    path = tmp_path_factory.mktemp("indexed") / "rows.jsonl"
    names = list(texts)
    with indexed(path) as rows:
        for name in names:
            rows.append(candidate(name, texts[name]))
        order.shuffle(names)
        assert [rows.read(name).text for name in names] == [texts[name] for name in names]
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    with indexed(path) as rows:
        kept = [name for name in texts if name in rows]
        assert kept == list(texts)[: len(kept)]
        assert len(kept) == whole[: max(0, len(whole) - cut)].count(b"\n")
        for name in texts:
            if name not in rows:
                rows.append(candidate(name, texts[name]))
        assert [rows.read(name).text for name in texts] == list(texts.values())
    assert path.read_bytes() == whole


def test_torn_line_longer_than_a_block_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with indexed(path) as rows:
        rows.append(candidate("a"))
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * 200_000)
    with indexed(path) as rows:
        assert rows.read("a") == candidate("a")
    assert path.read_bytes() == whole
