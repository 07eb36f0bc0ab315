"""The table of faults: one row each, by the stage that meets it. What came of them: docs/reliability.md."""

from __future__ import annotations

from tests.faults.bench import Case, nothing
from tests.faults.breaking import (
    NOT_CRITICAL,
    clock_set_back,
    damaged_manifest,
    full_disk,
    happens,
    interrupt_twice,
    judge_down_after,
    kill,
    kill_worker,
    loss_of_nan,
    lost,
    permission_denied,
    read_only,
    rewards_undefined,
    stopped,
    taken,
    terminate,
    torn,
    weights_of_nan,
)
from tests.faults.tables import ILL, NORMAL, all_with, other_bytes, other_rows, rows, with_cell

LEFT_OUT = r"left out: .*?\)"
COUNTS = r"studies: [^)]*? test"
JUDGE = ("judge.retries=1", "judge.backoff_s=0.01", "judge.breaker_window=4")
ASKED = (*JUDGE, "annotate.judge=judge")
STOPS = r"stopped; .*? from here\."
GOES_ON = r"\w+ \(goes on where it was cut\)"

DATA = (
    Case(
        "prepare", "an image is missing", other_bytes("3.png", lambda _: None), on="table", shows=LEFT_OUT
    ),
    Case(
        "prepare", "an image is cut off", other_bytes("3.png", lambda old: old[:300]), on="table",
        shows=LEFT_OUT,
    ),
    Case(
        "prepare", "an image is no image", other_bytes("3.png", lambda _: b"<html>"), on="table",
        shows=LEFT_OUT,
    ),
    Case("prepare", "a report is empty", other_rows(with_cell(3, "report", "")), on="table", shows=LEFT_OUT),
    Case(
        "prepare", "reports are not UTF-8",
        other_bytes("table.csv", lambda old: old.replace(b"Large", b"Gro\xdfer")), on="table",
    ),
    Case(
        "prepare", "a quote in the table is never closed",
        other_bytes("table.csv", lambda old: old.rstrip()[:-1]), on="table",
    ),
    Case("prepare", "the table is missing", other_bytes("table.csv", lambda _: None), on="table"),
    Case("prepare", "the table has no rows", other_rows(lambda _: []), on="table"),
    Case("prepare", "no report has a section", other_rows(all_with("No acute disease.")), on="table"),
    Case("prepare", "two rows have one id", other_rows(with_cell(3, "id", "s2")), on="table"),
    Case("prepare", "a patient is in two splits", other_rows(with_cell(9, "patient", "p0")), on="table"),
    Case("prepare", "an unknown split", other_rows(with_cell(9, "split", "held back")), on="table"),
    Case("prepare", "one study", other_rows(lambda table: table[9:]), on="table"),
    Case(
        "prepare", "an image path leads out of the data", other_rows(with_cell(3, "image", "../../x.png")),
        on="table",
    ),
    Case("prepare", "all studies are normal", other_rows(all_with(NORMAL)), on="table", shows=COUNTS),
    Case(
        "prepare", "no report has an Impression", other_rows(all_with(ILL.split("\n")[0])), on="table",
        shows=COUNTS,
    ),
)  # fmt: skip
FOLDER = (
    Case("report", "another run works in the folder", taken),
    Case("report", "no permission to write", permission_denied),
    Case("report", "a read-only file system", read_only),
    Case("report", "power cut: a manifest is cut off", damaged_manifest("evaluate"), is_dear=True),
)
POWER = (
    Case("sft", "power cut: studies.jsonl is cut off", torn("studies.jsonl")),
    Case("explore", "power cut: the model is cut off", torn("model-sft/model.safetensors"), is_dear=True),
    Case("annotate", "power cut: hard.jsonl is cut off", torn("hard.jsonl")),
    Case("rft", "power cut: criticality.jsonl is cut off", torn("criticality.jsonl"), is_dear=True),
    Case("evaluate", "power cut: the model is cut off", torn("model-rft/model.safetensors"), is_dear=True),
    Case("report", "power cut: scores.jsonl is cut off", torn("scores.jsonl"), is_dear=True),
    Case(
        "prepare",
        "power cut while it works: the rows so far are cut off",
        stopped("prepare", at_write=30, cut="prepared.partial.jsonl"),
        shows=GOES_ON,
    ),
    Case(
        "prepare",
        "power cut while it works: an image is cut off",
        stopped("prepare", at_write=30, cut="images/phantom-0-000003/0.png"),
        shows=GOES_ON,
    ),
    Case(
        "explore",
        "power cut while it writes: the reports so far are cut off",
        stopped("explore", at_write=6, cut="generated.partial.jsonl"),
        shows=GOES_ON,
    ),
    Case(
        "annotate",
        "power cut while it works: the verdicts so far are cut off",
        stopped("annotate", at_write=6, cut="annotated.partial.jsonl"),
        shows=GOES_ON,
    ),
    Case(
        "evaluate",
        "power cut while it writes: the reports so far are cut off",
        stopped("evaluate", at_write=3, cut="predictions.partial/sft.jsonl"),
        shows=GOES_ON,
        is_dear=True,
    ),
)
STOPPED = (
    Case("prepare", "Ctrl-C", stopped("prepare", at_write=30), shows=STOPS),
    Case("explore", "Ctrl-C", stopped("explore", at_write=6), shows=STOPS, is_dear=True),
    Case("annotate", "Ctrl-C", stopped("annotate", at_write=6), shows=STOPS),
    Case("evaluate", "Ctrl-C", stopped("evaluate", at_write=3), shows=STOPS, is_dear=True),
)
PROCESS = (
    Case("prepare", "Ctrl-C twice", happens(interrupt_twice), shows=STOPS, is_dear=True),
    Case("prepare", "SIGTERM", happens(terminate), shows=STOPS, is_dear=True),
    Case("prepare", "SIGKILL", happens(kill), shows=STOPS, is_dear=True),
    Case("prepare", "a worker process is killed for lack of memory", happens(kill_worker), is_dear=True),
)
DISK = (
    Case("prepare", "the disk is full", full_disk),
    Case("sft", "the disk is full", full_disk),
    Case("explore", "the disk is full", full_disk, is_dear=True),
    Case("annotate", "the disk is full", full_disk),
    Case("rft", "the disk is full", full_disk, is_dear=True),
    Case("evaluate", "the disk is full", full_disk, is_dear=True),
    Case("report", "the disk is full", full_disk),
)
LOST = (
    Case("sft", "an image of the run folder is gone", lost("images/phantom-0-000003/0.png")),
    Case(
        "explore",
        "an image of the run folder is cut off",
        torn("images/phantom-0-000003/0.png"),
        is_dear=True,
    ),
    Case("evaluate", "a model folder is gone", lost("model-rft"), shows=GOES_ON, is_dear=True),
    Case("explore", "a file of the model is gone", lost("model-sft/config.json"), is_dear=True),
)
NUMBERS = (
    Case("sft", "the loss is no number", loss_of_nan, is_dear=True),
    Case("rft", "the policy's weights are no numbers", weights_of_nan("model-sft"), is_dear=True),
    Case(
        "rft",
        "all rewards are equal",
        nothing,
        settings=("rft.temperature=0.001",),
        shows=r"equal-rewards: .*? teach nothing",
        is_dear=True,
    ),
    Case("sft", "the clock jumps back", clock_set_back, shows=r"\d+ steps", is_dear=True),
)
JUDGES = (
    Case(
        "annotate",
        "the judge is down from the start",
        judge_down_after(0, NOT_CRITICAL),
        settings=ASKED,
        compares=False,
    ),
    Case(
        "annotate",
        "the judge goes down in the middle",
        judge_down_after(8, NOT_CRITICAL),
        settings=ASKED,
        compares=False,
    ),
    Case("rft", "the judge is down from the start", rewards_undefined(after=0), is_dear=True),
    Case("rft", "the judge goes down in the middle", rewards_undefined(after=4), is_dear=True),
)
CASES = (*DATA, *LOST, *POWER, *STOPPED, *PROCESS, *DISK, *FOLDER, *NUMBERS, *JUDGES)

assert len({case.key for case in CASES}) == len(CASES)
assert len(rows()) == 10
