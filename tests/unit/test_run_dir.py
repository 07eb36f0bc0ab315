"""A run folder: done stages are skipped, cut ones go on, others are refused, two processes never meet."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from radflow.errors import RunError
from radflow.run_dir import RunDir, content_hash, fingerprint, listing_hash, stage_identity

HOLD = """
import sys, time
from pathlib import Path
from radflow.run_dir import RunDir
with RunDir.open(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def identity(*, rate: float = 1e-4, seed: int = 0, studies: str = "aa") -> dict[str, Any]:
    settings = {"sft": {"learning_rate": rate, "epochs": 3}}
    return stage_identity(settings=settings, seed=seed, inputs={"studies.jsonl": studies})


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    with RunDir.open(tmp_path / "run") as run:
        yield run


def finish(run: RunDir, **settings: Any) -> None:
    run.path("model-sft").mkdir(exist_ok=True)
    run.path("model-sft/weights").write_text("w")
    run.finish("sft", identity(**settings), outputs=("model-sft",), facts={}, wall_time_s=1, config={})


def status(run: RunDir, **settings: Any) -> str:
    return run.status("sft", identity(**settings), redo="add --redo sft")


def refusal(run: RunDir, **settings: Any) -> str:
    with pytest.raises(RunError) as caught:
        status(run, **settings)
    return str(caught.value)


def test_stage_is_new_then_cut_then_done(run: RunDir) -> None:
    assert status(run) == "new"
    run.start("sft", identity())
    assert status(run) == "cut"
    finish(run)
    assert status(run) == "done"


def test_manifest_is_written_after_the_outputs(run: RunDir) -> None:
    run.start("sft", identity())
    with pytest.raises(FileNotFoundError):
        run.finish("sft", identity(), outputs=("model-sft",), facts={}, wall_time_s=1, config={})
    assert run.manifest("sft") is None
    assert status(run) == "cut"


def test_manifest_says_how_the_stage_was_made(run: RunDir) -> None:
    finish(run)
    manifest = run.manifest("sft")
    assert manifest is not None
    assert manifest["identity"] == identity()
    assert manifest["outputs"] == {"model-sft": content_hash(run.path("model-sft"))}
    assert manifest["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert manifest["process_peak_memory_mib"] > 1


@pytest.mark.parametrize(("system", "peak"), [("Linux", 512 * 2**10), ("Darwin", 512 * 2**20)])
def test_peak_memory_is_in_mib_on_every_system(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, system: str, peak: int
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("resource.getrusage", lambda _: SimpleNamespace(ru_maxrss=peak))
    finish(run)
    manifest = run.manifest("sft")
    assert manifest is not None
    assert manifest["process_peak_memory_mib"] == 512


def test_restarted_stage_is_no_longer_done(run: RunDir) -> None:
    finish(run)
    run.start("sft", identity())
    assert status(run) == "cut"


def test_deleted_output_makes_the_stage_run_again(run: RunDir) -> None:
    finish(run)
    run.path("model-sft/weights").unlink()
    run.path("model-sft").rmdir()
    assert status(run) == "cut"


@pytest.mark.parametrize("cut", [True, False], ids=["cut off", "gone"])
def test_file_of_a_finished_stage_that_is_not_as_it_was_is_named(run: RunDir, cut: bool) -> None:
    """A power cut or a broken copy: later stages would train on half of it."""
    run.path("model-sft").mkdir()
    run.path("model-sft/config").write_text("c")
    finish(run)
    if cut:
        run.path("model-sft/weights").write_text("")
    else:
        run.path("model-sft/config").unlink()
    message = refusal(run)
    assert ("0 bytes instead of 1" if cut else "it is gone") in message
    assert f"Delete {run.path('model-sft')} and run the same command" in message


def test_manifest_of_an_older_radflow_has_no_sizes_to_compare(run: RunDir) -> None:
    finish(run)
    path = run.path("manifests/sft.json")
    manifest = json.loads(path.read_text())
    del manifest["sizes"]
    path.write_text(json.dumps(manifest))
    run.path("model-sft/weights").write_text("")
    assert status(run) == "done"


def test_outputs_are_on_disk_before_the_manifest(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could leave a manifest that vouches for empty files."""
    synced: list[str] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    finish(run)
    assert synced[0] == "weights"
    assert synced[1].startswith(".sft.json")


def test_lost_kept_folder_makes_the_stage_run_again_only_where_it_was_written(run: RunDir) -> None:
    def finish_keeping() -> None:
        write = {"facts": {}, "wall_time_s": 1, "config": {}}
        run.finish("sft", identity(), outputs=(), keeps=("model-base",), **write)  # type: ignore[arg-type]

    finish_keeping()
    assert status(run) == "done"
    run.path("model-base").mkdir()
    finish_keeping()
    assert status(run) == "done"
    run.path("model-base").rmdir()
    assert (status(run), run.lost("sft")) == ("cut", ["model-base"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rate": 0.001}, "sft.learning_rate was 0.0001, is 0.001"),
        ({"seed": 5}, "seed was 0, is 5"),
        ({"studies": "bb"}, "studies.jsonl has changed"),
    ],
    ids=["setting", "seed", "input"],
)
@pytest.mark.parametrize("is_finished", [True, False], ids=["done", "cut"])
def test_other_settings_are_refused_and_the_difference_named(
    run: RunDir, change: dict[str, Any], told: str, is_finished: bool
) -> None:
    run.start("sft", identity())
    if is_finished:
        finish(run)
    message = refusal(run, **change)
    assert told in message
    assert "epochs" not in message
    assert "--redo sft" in message


@pytest.mark.parametrize(
    "content",
    [b'{"fingerprint": "0', b"[]", b"{}", b"", b"\xff\xfe", b'{"fingerprint": "0", "identity": {}}'],
    ids=["cut", "list", "no keys", "empty", "not UTF-8", "no outputs"],
)
def test_damaged_manifest_is_named(run: RunDir, content: bytes) -> None:
    finish(run)
    path = run.path("manifests/sft.json")
    path.write_bytes(content)
    message = refusal(run)
    assert "manifest is damaged" in message
    assert str(path) in message


@pytest.mark.parametrize("content", [b'{"fing', b"{}"])
def test_damaged_start_marker_is_named(run: RunDir, content: bytes) -> None:
    run.start("sft", identity())
    run.path("manifests/sft.started.json").write_bytes(content)
    assert "sft.started.json" in refusal(run)


def test_forgotten_stage_is_new_and_its_files_are_gone(run: RunDir) -> None:
    finish(run)
    run.path("scores.jsonl").write_text("")
    run.path("studies.jsonl").write_text("")
    run.forget("sft", ("model-sft", "scores.jsonl", "never-written"))
    assert status(run, rate=0.5) == "new"
    assert sorted(path.name for path in run.root.iterdir()) == [".lock", "manifests", "studies.jsonl"]


def test_folder_is_readable_by_its_owner_only(run: RunDir) -> None:
    assert stat.S_IMODE(run.root.stat().st_mode) == 0o700


def test_existing_folder_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with RunDir.open(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_shared_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with RunDir.open(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_half_written_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    kept = (".hidden.tmp", "x.12.tmp", "images/.0.png.12.tmp", "scores.jsonl")
    torn = (".scores.jsonl.12.tmp", "manifests/.sft.json.3456.tmp")
    for name in (*kept, *torn):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    with RunDir.open(tmp_path):
        files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {".lock", *kept}


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_lock_on_a_full_disk_is_an_error_not_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", no_space)
    with pytest.raises(RunError, match="No space left"), RunDir.open(tmp_path):
        pass


def test_start_on_a_full_disk_keeps_the_old_manifest(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(run)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space left"):
            run.start("sft", identity())
    assert status(run) == "done"


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="can't be written"), RunDir.open(tmp_path / "run"):
        pass


def test_second_process_is_locked_out_until_the_first_is_killed(tmp_path: Path) -> None:
    root = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(RunError, match=f"process {holder.pid} "), RunDir.open(root):
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with RunDir.open(root) as run:
        assert run.path(".lock").read_text().startswith(f"{os.getpid()} ")


def test_lock_is_freed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RunDir.open(tmp_path / "run"):
        raise KeyError
    with RunDir.open(tmp_path / "run") as run:
        assert run.root.is_dir()


def test_fingerprint_ignores_order_and_sees_values() -> None:
    there, back = {"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}
    assert fingerprint(there) == fingerprint(back) == fingerprint(json.loads(json.dumps(there)))
    assert fingerprint(there) != fingerprint({"a": 1, "b": [2, 1]})


def folder(parent: Path, files: dict[str, str]) -> str:
    """Hash of a folder ``parent/model`` with these files."""
    for name, content in files.items():
        path = parent / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return content_hash(parent / "model")


@pytest.mark.parametrize(
    "other",
    [{"a": "2", "b": "x"}, {"a": "1", "c": "x"}, {"a": "1", "d/b": "x"}, {"a": "1"}, {"a": "1model/bx"}],
    ids=["content", "name", "folder", "fewer", "content that reads like a name"],
)
def test_content_hash_depends_on_names_and_contents(tmp_path: Path, other: dict[str, str]) -> None:
    assert folder(tmp_path / "one", {"a": "1", "b": "x"}) != folder(tmp_path / "two", other)


def test_content_hash_depends_on_nothing_else(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "1", {"a": "1", "b": "x"}), folder(tmp_path / "2", {"b": "x", "a": "1"})
    os.utime(tmp_path / "2/model/a", (0, 0))
    assert one == two == content_hash(tmp_path / "2/model")


def test_listing_hash_sees_names_and_sizes_in_subfolders_too(tmp_path: Path) -> None:
    seen = [listing_hash(tmp_path)]
    (tmp_path / "deep/er").mkdir(parents=True)
    assert listing_hash(tmp_path) == seen[0]
    for name, content in (("a", "1"), ("a", "22"), ("deep/er/a", "1"), ("deep/er/a", "22"), ("deep/b", "")):
        (tmp_path / name).write_text(content)
        seen.append(listing_hash(tmp_path))
    assert len(set(seen)) == len(seen)


def test_listing_hash_ends_at_links_to_a_parent_and_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a").write_text("1")
    before = listing_hash(tmp_path)
    (tmp_path / "deep/up").symlink_to(tmp_path)
    assert listing_hash(tmp_path) == before
    (tmp_path / "deep/nowhere").symlink_to(tmp_path / "gone")
    assert listing_hash(tmp_path) != before


def test_listing_hash_ignores_run_folders_below_the_data(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = listing_hash(tmp_path)
    with RunDir.open(tmp_path / "runs/first") as run:
        run.path("studies.jsonl").write_text("")
        assert listing_hash(tmp_path) == before


def test_listing_hash_of_many_images_takes_no_time(tmp_path: Path) -> None:
    for folder_number in range(75):
        (tmp_path / str(folder_number)).mkdir()
        for number in range(100):
            (tmp_path / str(folder_number) / f"{number}.png").touch()
    started = time.perf_counter()
    listing_hash(tmp_path)
    assert time.perf_counter() - started < 2  # 0.05 s on an idle machine


def test_listing_is_in_the_order_of_whole_names(tmp_path: Path) -> None:
    """Fingerprints of older runs rest on it; "a-b" sorts before "a/b", and that before "a0"."""
    names = ("a/b", "a/b.txt", "a-b", "a0", "a b/c", "A/z", "a/c/d", "a/c-d", "a.d/e/f", "é/x")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * len(name))
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0{len(name)}\0".encode())
    assert listing_hash(tmp_path) == digest.hexdigest()
