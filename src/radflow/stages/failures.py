"""What a full disk, a missing file or too little memory raises in a stage, told with what to do"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from radflow.errors import RunError
from radflow.run_dir import RunDir
from radflow.stages import STAGES

FULL_DISK = ("No space left", "PytorchStreamWriter", "file write failed")
"""What torch.save (RuntimeError) and safetensors (SafetensorError) say on a full disk, neither as OSError."""
NO_MEMORY = ("out of memory", "can't allocate memory")
"""What torch says of a GPU's memory and of the machine's, the latter in a plain RuntimeError."""
SMALLER = {
    "sft": "a smaller sft.batch_size with more sft.gradient_accumulation, sft.gradient_checkpointing",
    "explore": "a smaller explore.generation.batch_size",
    "rft": "more rft.gradient_accumulation, rft.gradient_checkpointing",
    "control": "a smaller sft.batch_size with more sft.gradient_accumulation, sft.gradient_checkpointing",
    "evaluate": "a smaller evaluate.generation.batch_size",
}
"""Stage -> what makes it take less memory."""


@contextmanager
def failures_explained(stage: str, run: RunDir) -> Iterator[None]:
    """Turn what a full disk, missing permission, missing file or lack of memory raises into a RunError."""
    what = f"stage {stage}"
    try:
        yield
    except FileNotFoundError as error:
        raise _missing_file(what, error, run) from error
    except OSError as error:
        reason, where = error.strerror or str(error), str(error.filename or run.root)
        raise _unusable_disk(what, reason, where) from error
    except Exception as error:
        if _lacks_memory(error):
            raise _out_of_memory(stage) from error
        is_disk = isinstance(error, RuntimeError) or type(error).__name__ == "SafetensorError"
        if not is_disk or not any(words in str(error) for words in FULL_DISK):
            raise
        raise _unusable_disk(what, "writing failed, most likely no space is left", str(run.root)) from error


def _lacks_memory(error: Exception) -> bool:
    is_torch = isinstance(error, RuntimeError)
    return isinstance(error, MemoryError) or (is_torch and any(words in str(error) for words in NO_MEMORY))


def _out_of_memory(stage: str) -> RunError:
    smaller = SMALLER.get(stage, "fewer processes (engine.workers)")
    return RunError(
        f"stage {stage} ran out of memory",
        next_step=f"What is done is kept. Free memory and run the same command, or take {smaller}; with "
        f"other settings of the stage add --redo {stage}. radflow doctor CONFIG says how much it takes.",
    )


def _unusable_disk(what: str, reason: str, where: str) -> RunError:
    return RunError(
        f"{what} could not write or read: {reason}",
        where=where,
        next_step="Free space or correct permissions, then run the same command: what is done is kept.",
    )


def _missing_file(what: str, error: FileNotFoundError, run: RunDir) -> RunError:
    path, root = Path(str(error.filename or run.root)).absolute(), run.root.absolute()
    top = path.relative_to(root).parts[:1] if path.is_relative_to(root) else ()
    maker = next((stage for stage in STAGES if top and top[0] in (*stage.outputs, *stage.keeps)), None)
    if maker is None:
        return RunError(
            f"{what} misses a file", where=str(path), next_step="Restore it, then run the same command."
        )
    # Not --redo: that would delete the later stages too, which stay good when the same file comes back.
    return RunError(
        f"{what} misses a file of the run folder, which stage {maker.name} writes",
        where=str(path),
        next_step=f"Delete {run.path(top[0])} and redo that stage: radflow {maker.name} CONFIG -o {run.root}",
    )
