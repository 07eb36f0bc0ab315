"""A run is a folder: stages turn files in it into files in it.

For each stage there is ``manifests/STAGE.started.json`` while it runs and ``manifests/STAGE.json``, written
last and atomically, when it is done. Both carry the stage's fingerprint: settings, seed and input hashes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeVar

from radflow.errors import RunError
from radflow.jsonl import read_jsonl, write_json
from radflow.owner_only import make_private, private_files
from radflow.records import Record

R = TypeVar("R", bound=Record)
MARKER_KEYS = {"fingerprint", "identity"}
LOCK = ".lock"
PROGRESS = "progress.json"
"""Where the stage under way is, while it works; stays when it is cut."""
TORN_WRITE = re.compile(r"\..+\.\d+\.tmp")
PACKAGES = ("radflow", "torch", "transformers", "trl", "peft", "numpy", "pillow", "pydicom")


class RunDir:
    """One run folder, locked for this process while it is open."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    @contextmanager
    def open(cls, root: Path) -> Iterator[RunDir]:
        """Create the folder (readable by its owner only: reports are patient data) and lock it.

        An existing folder is closed to others too, and rid of what killed processes had half written. While
        it is open, whatever this process makes anywhere is its owner's alone.

        Raises:
            RunError: another process works in it, or it can't be written.
        """
        try:
            make_private(root)
            with private_files():
                lock = (root / LOCK).open("a+")
        except OSError as error:
            raise _not_writable(root, error) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise RunError(
                    f"another radflow (process {lock.read().strip() or 'unknown'}) works in this folder",
                    where=str(root),
                    next_step="Wait for it, stop it, or choose another folder with -o.",
                ) from None
            try:
                # Not through the buffer: on a full disk, closing would try again and hide the message.
                os.ftruncate(lock.fileno(), 0)
                os.write(lock.fileno(), f"{os.getpid()} on {platform.node()}".encode())
                _close_to_others(root)
                _sweep_torn_writes(root)
            except OSError as error:
                raise _not_writable(root, error) from None
            with private_files():
                yield cls(root)

    def path(self, name: str) -> Path:
        return self.root / name

    def read(self, kind: type[R], name: str) -> list[R]:
        return list(read_jsonl(kind, self.path(name)))

    def manifest(self, stage: str) -> dict[str, Any] | None:
        """What the finished stage wrote about itself; ``None`` while it isn't finished."""
        return _read_json(self.path(f"manifests/{stage}.json"), keys={*MARKER_KEYS, "outputs"})

    def status(self, stage: str, identity: Mapping[str, Any], *, redo: str) -> Literal["new", "cut", "done"]:
        """Whether a stage with these settings and inputs is still to do, was cut, or is done.

        Args:
            identity: what decides the stage's result, from `stage_identity`.
            redo: the command that would redo the stage, for the message.

        Raises:
            RunError: the folder holds this stage with other settings or inputs; names what differs. Or a file
                of the finished stage has another size than it had then.
        """
        known = self._record(stage)
        if known is None:
            return "new"
        if known["fingerprint"] != fingerprint(identity):
            changed = ", ".join(_differences(known["identity"], identity)) or "its settings"
            raise RunError(
                f"the stage {stage} in this folder was made with something else: {changed}",
                where=str(self.root),
                next_step=f"Either another folder (-o), or the settings it was made with, or redo it and all "
                f"that rests on it: {redo}",
            )
        if self.manifest(stage) is None:
            return "cut"
        if self.lost(stage):
            return "cut"
        self._require_as_written(stage)
        return "done"

    def lost(self, stage: str) -> list[str]:
        """What a finished stage wrote, and is no longer there."""
        manifest = self.manifest(stage) or {}
        written = (*manifest.get("outputs", ()), *manifest.get("keeps", ()))
        return [name for name in written if not self.path(name).exists()]

    def _require_as_written(self, stage: str) -> None:
        """Later stages trust the recorded hashes; reading all files each time would cost more than it guards
        against, so sizes are compared: a cut off file has another one."""
        for name, size in (self.manifest(stage) or {}).get("sizes", {}).items():
            path = self.path(name)
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                top = name.split("/")[0]
                raise RunError(
                    f"{name} is not as stage {stage} wrote it: "
                    + (f"it has {found} bytes instead of {size}" if found is not None else "it is gone"),
                    where=str(path),
                    next_step=f"A power cut, a copy that broke off or an edit can do that. Delete "
                    f"{self.path(top)} and run the same command: stage {stage} writes it again, and what "
                    "rests on it stays if it comes out the same.",
                )

    def recorded_inputs(self, stage: str) -> dict[str, str]:
        """Hashes of what the finished or cut stage was made from; empty for a new one."""
        return dict((self._record(stage) or {"identity": {}})["identity"].get("inputs", {}))

    def _record(self, stage: str) -> dict[str, Any] | None:
        started = self.path(f"manifests/{stage}.started.json")
        return self.manifest(stage) or _read_json(started, keys=MARKER_KEYS)

    def start(self, stage: str, identity: Mapping[str, Any]) -> None:
        """Mark the stage as begun, in this order: a full disk leaves the record that there was."""
        marker = {"fingerprint": fingerprint(identity), "identity": dict(identity)}
        write_json(self.path(f"manifests/{stage}.started.json"), marker)
        self.path(f"manifests/{stage}.json").unlink(missing_ok=True)

    def finish(
        self,
        stage: str,
        identity: Mapping[str, Any],
        *,
        outputs: Sequence[str],
        keeps: Sequence[str] = (),
        facts: Mapping[str, Any],
        wall_time_s: float,
        config: Mapping[str, Any],
        was_cut: bool = False,
    ) -> None:
        """Write the stage's manifest: the last thing that a stage does.

        ``process_peak_memory_mib`` in it is the peak of the whole process so far: when several stages run in
        one command, the largest up to and with this one.

        Args:
            outputs: what it wrote; hashed.
            keeps: what it may also have written; noted where it did, and missed when it goes.
            was_cut: it went on where an earlier attempt was cut: the wall time is not of all its work.
        """
        kept = [name for name in keeps if self.path(name).exists()]
        sizes = self._through_to_disk(outputs)
        if kept:
            os.sync()  # half a million images, one at a time, would take minutes
        manifest = {
            "stage": stage,
            "fingerprint": fingerprint(identity),
            "identity": dict(identity),
            "config": dict(config),
            "facts": dict(facts),
            "outputs": {name: content_hash(self.path(name)) for name in outputs},
            "sizes": sizes,
            "keeps": kept,
            "wall_time_s": round(wall_time_s, 2),
            "was_cut": was_cut,
            "process_peak_memory_mib": _process_peak_memory_mib(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "versions": installed_versions(),
            "git_commit": _git_commit(),
            "machine": {"cpus": os.cpu_count(), "system": platform.platform()},
        }
        write_json(self.path(f"manifests/{stage}.json"), manifest)
        self.path(f"manifests/{stage}.started.json").unlink(missing_ok=True)

    def _through_to_disk(self, names: Sequence[str]) -> dict[str, int]:
        """Force files to the device, and their sizes: a power cut must not leave a manifest without them."""
        sizes = {}
        for name in names:
            for file in _files_of(self.path(name)):
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
                    sizes[str(file.relative_to(self.root))] = os.fstat(handle.fileno()).st_size
        return sizes

    def forget(self, stage: str, files: Sequence[str]) -> None:
        """Delete a stage's manifest and what it wrote, so that it starts afresh."""
        # The manifests first: a deletion cut short must not leave a stage that counts as done.
        self.delete((f"manifests/{stage}.json", f"manifests/{stage}.started.json", *files))

    def unshare(self, names: Sequence[str]) -> None:
        """Give files that other run folders hold too (hard links) copies of their own, before writing."""
        for name in names:
            target = self.path(name)
            for file in target.rglob("*") if target.is_dir() else [target]:
                if file.is_file() and file.stat().st_nlink > 1:
                    copy = (
                        self.root / f".{file.name}.{os.getpid()}.tmp"
                    )  # swept there, should a kill leave it
                    shutil.copy2(file, copy)
                    copy.replace(file)

    def delete(self, names: Sequence[str]) -> None:
        """Delete files and folders of the run folder, those that are there."""
        for name in names:
            target = self.path(name)
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)


def stage_identity(*, settings: Mapping[str, Any], seed: int, inputs: Mapping[str, str]) -> dict[str, Any]:
    """What decides a stage's result: its settings, the seed, hashes of what it reads."""
    return {"settings": dict(settings), "seed": seed, "inputs": dict(inputs)}


def fingerprint(identity: Mapping[str, Any]) -> str:
    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _files_of(path: Path) -> list[Path]:
    """A file itself, or the files of a folder in order."""
    return sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files in order."""
    digest = hashlib.sha256()
    for file in _files_of(path):
        # Name and size with separators: no content can pass for the name of another file.
        digest.update(f"{file.relative_to(path.parent)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def listing_hash(path: Path) -> str:
    """Cheap hash of what lies outside: a file's content, or names and sizes of all files below a folder.

    A file changed in place to the same size goes unseen in a folder: reading gigabytes of images or weights
    at every start would cost more than it guards against. Run folders below it are left out: they grow.
    """
    if path.is_file():
        return content_hash(path)
    digest = hashlib.sha256()
    for name, size in _files_below(str(path), "", ()):
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files_below(folder: str, prefix: str, parents: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Relative name and size of each file; linked folders are followed, a link back to a parent isn't.

    In the order of the names, of which only those of one folder and its parents are held: a collection has
    half a million. A folder sorts as its name with a slash, as its files do.
    """
    real = os.path.realpath(folder)
    with os.scandir(folder) as entries:
        found = [(f"{entry.name}/" if entry.is_dir() else entry.name, entry) for entry in entries]
    if real in parents or any(entry.name == LOCK for _, entry in found):
        return
    for name, entry in sorted(found, key=lambda pair: pair[0]):
        if name.endswith("/"):
            yield from _files_below(entry.path, f"{prefix}{name}", (*parents, real))
        else:
            # A link to nowhere counts by its own size.
            yield f"{prefix}{name}", entry.stat(follow_symlinks=entry.is_file()).st_size


def _not_writable(root: Path, error: OSError) -> RunError:
    return RunError(f"run folder can't be written: {error.strerror}", where=str(root))


def _close_to_others(root: Path) -> None:
    """Take the rights of group and others from a folder of ours, except from a shared one like /tmp."""
    status = root.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.geteuid() and mode & 0o077 and not mode & stat.S_ISVTX:
        root.chmod(mode & ~0o077)


def _sweep_torn_writes(root: Path) -> None:
    """Delete the temporary files of processes that were killed while writing; the lock says none is left."""
    for folder in (root, root / "manifests"):
        for path in folder.glob(".*.tmp"):
            if TORN_WRITE.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def _process_peak_memory_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if platform.system() == "Darwin" else 2**10), 1)  # bytes there, else KiB


def installed_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    """Commit of the radflow sources, when they lie in a git checkout."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _read_json(path: Path, *, keys: set[str]) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:  # neither JSON nor UTF-8
        content = None
    if not isinstance(content, dict) or not keys <= content.keys():
        raise RunError("manifest is damaged", where=str(path), next_step="Delete the file to redo the stage.")
    return content


def _differences(old: Any, new: Any, keys: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), (*keys, key))
    elif old != new:
        where, name = keys[0], ".".join(keys[1:]) or keys[0]
        if where == "inputs":
            yield f"{name} has changed"
        else:
            yield f"{name} was {json.dumps(old)}, is {json.dumps(new)}"
