"""All arms over all seeds: what fails costs nobody else, what is done is kept, and tables say all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.test_pipeline import WRITES

from radflow.config import RunConfig
from radflow.errors import ConfigError, DataError, RunError
from radflow.experiments import results as results_module
from radflow.experiments.declaration import Arm, Design, Request, Trend
from radflow.experiments.pooled import Side
from radflow.experiments.results import START
from radflow.jsonl import write_jsonl
from radflow.records import MetricRow
from radflow.run_dir import RunDir
from radflow.stages import pipeline

STUDIES = 40
DESIGN = Design(
    name="made-up",
    question="Does kappa matter?",
    arms=(
        Arm("one", "kappa 1", {"rft.kappa": 1}),
        Arm("two", "kappa 2", {"rft.kappa": 2}),
        Arm("four", "kappa 4", {"rft.kappa": 4}),
    ),
    baseline="one",
    measures=("report/consistency-rate", "critical/report/consistency-rate", "report/truth-f1"),
    instead={"report/truth-f1": "report/rules-label-f1"},
    fixed="everything else.",
    trends=(Trend("clip", "critical/clip_fraction"), Trend("gain", "validation_reward", "learning")),
    curves=("validation_reward",),
)


def row(seed: int, number: int, system: str, kappa: float) -> MetricRow:
    """The larger kappa is, the more of its reports are consistent; every fourth study is critical."""
    is_good = float(number % 10 < (2 if system == "sft" else 2 + 2 * kappa))
    return MetricRow(
        study_id=f"{seed}-{number}",
        system=system,
        part="report",
        reference="digest",
        is_critical=number % 4 == 0,
        values={"consistency-rate": is_good},
        statistics={"consistency": (is_good, 0.0, 0.0, 0.0, 0.0)},
    )


class StandIns:
    """Stages of no content, but for scores and a history that depend on kappa."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.wrong: dict[tuple[str, str], Callable[[], BaseException]] = {}

    def import_module(self, module: str) -> Any:
        name = module.rpartition(".")[2]

        def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
            where = (run.root.parent.name, run.root.name)
            self.ran.append("/".join((*where, name)))
            if name == "rft" and where in self.wrong:
                raise self.wrong[where]()
            for file in WRITES.get(name, ("report.html",)):
                run.path(file).parent.mkdir(parents=True, exist_ok=True)
                run.path(file).write_text("" if file.endswith("l") else "{}")
            if name == "rft":
                history = [
                    {"step": 0, "validation_reward": 1.0},
                    {"step": 1, "critical/clip_fraction": 0.1 * config.rft.kappa},
                    {"step": 2, "validation_reward": 1.5},
                ]
                text = "".join(json.dumps(each) + "\n" for each in history)
                run.path("rft_history.jsonl").write_text(text)
                run.path("model-rft/weights").write_text(str(config.rft.kappa))
            if name == "evaluate":
                rows = [
                    row(config.seed, number, system, config.rft.kappa)
                    for number in range(STUDIES)
                    for system in ("sft", "rft")
                ]
                write_jsonl(run.path("scores.jsonl"), rows)
            return {}

        return SimpleNamespace(run=run)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns()
    monkeypatch.setattr(pipeline, "import_module", made.import_module)
    monkeypatch.setattr(results_module, "Side", partial(Side, samples=500))  # 10,000 take seconds a run
    return made


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    (tmp_path / "config.yaml").write_text("seed: 9\n")
    return Request(config=tmp_path / "config.yaml", out=tmp_path / "out", seeds=(1, 2))


def results(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((request.out / "results.json").read_text())
    return found


def test_tables_hold_values_differences_and_training(stand_ins: StandIns, request_: Request) -> None:
    DESIGN.run(request_)
    found = results(request_)
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert list(arms) == [START, "one", "two", "four"]
    assert found["measures"] == ["report/consistency-rate", "critical/report/consistency-rate"]
    values = [arm["estimates"]["report/consistency-rate"]["value"] for arm in arms.values()]
    assert values == pytest.approx([0.2, 0.4, 0.6, 1.0])
    assert arms["one"]["contrasts"] == {}
    difference = arms["four"]["contrasts"]["report/consistency-rate"]
    assert difference["value"] == pytest.approx(0.6)
    assert difference["studies"] == 2 * STUDIES
    assert difference["per_seed"] == {"1": pytest.approx(0.6), "2": pytest.approx(0.6)}
    assert 0 < difference["p"] <= difference["p_holm"] <= 1
    critical = arms["four"]["estimates"]["critical/report/consistency-rate"]
    assert critical["studies"] == 2 * STUDIES / 4
    assert arms["two"]["trends"]["clip"]["mean"] == pytest.approx(0.2)
    assert arms["two"]["trends"]["gain"]["mean"] == pytest.approx(0.5)
    assert arms["two"]["curves"]["validation_reward"] == [[0, 1], [2, 1.5]]
    assert found["failures"] == []
    page = (request_.out / "experiment.html").read_text()
    assert "Does kappa matter?" in page
    assert "<script" not in page
    assert (
        (request_.out / "experiment.md")
        .read_text()
        .startswith("# made-up: Does kappa matter?\n\n    radflow experiment made-up")
    )
    assert "| four |" in (request_.out / "table.md").read_text()


def test_stages_that_an_arm_does_not_change_run_once_a_seed(stand_ins: StandIns, request_: Request) -> None:
    DESIGN.run(request_)
    made = [each for each in stand_ins.ran if each.startswith("seed-1")]
    assert [each for each in made if each.split("/")[1] != "one"] == [
        f"seed-1/{arm}/{stage}" for arm in ("two", "four") for stage in ("rft", "evaluate", "report")
    ]
    stand_ins.ran.clear()
    DESIGN.run(request_)
    assert stand_ins.ran == []


def test_what_fails_is_listed_and_costs_no_other_arm(stand_ins: StandIns, request_: Request) -> None:
    stand_ins.wrong["seed-1", "two"] = lambda: DataError("no studies are selected", where="hard.jsonl")
    stand_ins.wrong["seed-2", "two"] = lambda: ValueError("FINDINGS: text of a report")
    with pytest.raises(RunError, match="2 of 6 runs failed, the first: seed 1, two"):
        DESIGN.run(request_)
    found = results(request_)
    assert [arm["name"] for arm in found["arms"]] == [START, "one", "four"]
    listed = {(each["seed"], each["arm"]): each for each in found["failures"]}
    assert listed[1, "two"]["kind"] == "DataError"
    assert listed[2, "two"]["kind"] == "ValueError"
    for name in ("results.json", "table.md", "experiment.md", "experiment.html"):
        assert "text of a report" not in (request_.out / name).read_text()
    stand_ins.wrong.clear()
    stand_ins.ran.clear()
    DESIGN.run(request_)
    assert {each.split("/")[1] for each in stand_ins.ran} == {"two"}
    assert results(request_)["failures"] == []


def test_without_the_baseline_there_are_values_and_no_differences(
    stand_ins: StandIns, request_: Request
) -> None:
    stand_ins.wrong = {("seed-1", "one"): lambda: RunError("x"), ("seed-2", "one"): lambda: RunError("x")}
    with pytest.raises(RunError, match="2 of 6"):
        DESIGN.run(request_)
    found = results(request_)
    assert [arm["contrasts"] for arm in found["arms"] if arm["name"] == "two"] == [{}]
    assert "| two |" in (request_.out / "table.md").read_text()


def test_an_interrupt_stops_everything(stand_ins: StandIns, request_: Request) -> None:
    stand_ins.wrong["seed-1", "two"] = lambda: KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        DESIGN.run(request_)
    assert not any(each.startswith("seed-1/four") for each in stand_ins.ran)


def test_a_folder_of_another_experiment_is_refused(stand_ins: StandIns, request_: Request) -> None:
    DESIGN.run(request_)
    other = Design("another", "Is it?", DESIGN.arms, "one", ("report/consistency-rate",), "all.")
    with pytest.raises(RunError, match="holds the experiment made-up"):
        other.run(request_)


def test_mistakes_are_said_before_anything_runs(stand_ins: StandIns, request_: Request) -> None:
    wrong = Request(request_.config, request_.out, overrides=("evaluate.metrics=[blue]",))
    with pytest.raises(ConfigError, match="unknown metric"):
        DESIGN.run(wrong)
    with pytest.raises(ConfigError, match="--labels would change nothing"):
        DESIGN.run(Request(request_.config, request_.out, labels=request_.config))
    assert stand_ins.ran == []


def test_stages_of_other_folders_are_shared_when_asked(
    stand_ins: StandIns, request_: Request, tmp_path: Path
) -> None:
    DESIGN.run(request_)
    stand_ins.ran.clear()
    more = Request(request_.config, tmp_path / "more", seeds=(1,), arms=("two",), share=(request_.out,))
    DESIGN.run(more)
    assert stand_ins.ran == []
    alone = Request(request_.config, tmp_path / "alone", seeds=(1,), arms=("two",))
    DESIGN.run(alone)
    assert len(stand_ins.ran) == 7
