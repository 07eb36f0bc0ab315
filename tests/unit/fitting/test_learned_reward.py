"""A fitted reward: nothing scores more than the reference, parts share no study, odd files are refused."""

from __future__ import annotations

import csv
import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rewards.corruptions import CORRUPTIONS, DEGENERATE
from tests.unit.rewards.own_reports import OWN_REPORTS
from typer.testing import CliRunner

from radflow.audit.files import AuditOptions, draw_reports
from radflow.audit.variants import CONTROLS
from radflow.cli import app
from radflow.config import RewardConfig
from radflow.data.phantoms.chest import make_chest_report
from radflow.data.sections import parse_report
from radflow.errors import ConfigError, DataError, ModelError
from radflow.fitting.reward_choice import calibration, candidates_of, kind_measures
from radflow.fitting.reward_files import Fitted, fit_reward, groups_named, write_fit
from radflow.fitting.reward_fit import FLOOR, Candidate, calibrated, fit_model
from radflow.fitting.reward_rows import FitOptions, Rows, kinds_wanted, rows_of, split_studies
from radflow.metrics.as_reward import MetricReward
from radflow.metrics.learned_features import FEATURES, LearnedFeatures
from radflow.metrics.learned_model import FILE, LearnedReward, RewardModel, read_card
from radflow.metrics.registry import find_metric
from radflow.metrics.score import LoadedMetric
from radflow.rewards.hierarchical import HierarchicalReward

REFERENCE = "FINDINGS: Small left pleural effusion. The heart is normal.\nIMPRESSION: Small left effusion."
COMPARE = LearnedFeatures()


@lru_cache(maxsize=512)
def phantom(index: int) -> str:
    report = make_chest_report(index, seed=5)
    return f"FINDINGS: {report.findings or 'None.'}\nIMPRESSION: {report.impression or 'None.'}"


TEXTS = st.one_of(st.integers(0, 200).map(phantom), st.text(max_size=200), st.just(""))


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_features_are_zero_for_the_reference_and_never_negative(one: str, other: str) -> None:
    same, different = COMPARE(reference=[one, one], prediction=[one, other])
    assert (same == 0).all()
    assert (different >= 0).all()
    assert np.isfinite(different).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200).map(phantom))
def test_case_and_line_ends_are_no_difference_but_to_the_words_header(text: str) -> None:
    found = COMPARE(reference=[text], prediction=[text.replace(". ", ".\n")])[0]
    assert {name for name, value in zip(FEATURES, found, strict=True) if value > 1e-9} == set()


def made_rows(count: int = 400, width: int = 4, seed: int = 1) -> Rows:
    """Rows in which errors raise the first two features, and harmless changes only the third."""
    rng = np.random.default_rng(seed)
    kinds = np.array(["omission", "side_swap", *CONTROLS])[rng.integers(5, size=count)]
    counts = np.where(np.isin(kinds, CONTROLS), 1, rng.integers(1, 4, size=count))
    features = rng.gamma(1.0, 0.4, size=(count, width))
    features[:, 0] += np.where(kinds == "omission", counts, 0) * rng.uniform(0.4, 1.2, size=count)
    features[:, 1] += np.where(kinds == "side_swap", counts, 0) * rng.uniform(0.4, 1.2, size=count)
    features[:, 2] += np.isin(kinds, CONTROLS) * 0.5
    return Rows(np.arange(count) // 5, kinds, counts, features)


def fitted(candidate: Candidate, rows: Rows) -> RewardModel:
    model = fit_model(rows, candidate, seed=0)
    slope, intercepts = calibrated(model(rows.features), rows)
    names = FEATURES[: rows.features.shape[1]]
    return RewardModel(features=names, model=model, slope=slope, intercepts=intercepts, ontology="chest-xray")


@pytest.fixture(scope="module", params=["logistic", "ordinal", "boosting"])
def made_model(request: pytest.FixtureRequest) -> RewardModel:
    return fitted(Candidate(request.param, 4 if request.param == "boosting" else 1), made_rows())


FEATURE = st.floats(0, 5)


@settings(max_examples=50, deadline=None)
@given(point=st.lists(FEATURE, min_size=4, max_size=4), place=st.integers(0, 3), more=FEATURE)
def test_a_worse_feature_never_scores_more_and_nothing_more_than_the_reference(
    made_model: RewardModel, point: list[float], place: int, more: float
) -> None:
    worse = list(point)
    worse[place] += more
    own, first, second = made_model.scores(np.array([[0.0] * 4, point, worse]))
    assert own == 1.0
    assert 0 <= second <= first + 1e-12
    assert first <= 1
    if max(point) > 1e-3:
        assert first < 1, "every feature counts, be it by little"
    likely = made_model.probabilities(np.array([point]))[0]
    assert (np.diff(likely) <= 1e-12).all(), "two errors can't be likelier than one"


def test_what_harmless_changes_raise_gets_the_least_weight() -> None:
    model = fit_model(made_rows(), Candidate("logistic", 1), seed=0)
    weights = model.model_dump()["weights"]
    assert weights[2] == FLOOR
    assert min(weights[0], weights[1]) > 1


def test_without_its_bound_the_fit_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    from radflow.fitting.reward_fit import row_weights

    rows = made_rows().with_columns([0, 1])  # both weights come out positive
    model = fit_model(rows, Candidate("logistic", 0.5), seed=0).model_dump()
    scaled, weights = rows.features / np.array(model["scales"]), row_weights(rows) * len(rows.kinds)
    theirs = LogisticRegression(C=0.5, tol=1e-10).fit(scaled, rows.errors > 0, sample_weight=weights)
    assert model["weights"] == pytest.approx(theirs.coef_[0], rel=1e-3)


def test_the_number_of_errors_lowers_the_score(made_model: RewardModel) -> None:
    rows = made_rows(seed=2)
    found = kind_measures(rows, made_model.scores(rows.features), ["omission", "side_swap"])
    assert all(one.auc is not None and one.auc > 0.8 for one in found.values())
    scores = made_model.scores(rows.features)
    means = [scores[(rows.kinds == "omission") & (rows.counts == count)].mean() for count in (1, 2, 3)]
    assert means == sorted(means, reverse=True)


def test_calibration_of_a_constant_and_of_the_truth() -> None:
    rows = made_rows()
    constant = calibration(rows, np.full(len(rows.kinds), 0.5))
    assert constant.brier == pytest.approx(0.25)
    assert constant.ece == pytest.approx(0, abs=1e-9)  # half of the weight is wrong, and it says so
    assert calibration(rows, (rows.errors > 0).astype(float)).brier == 0
    assert calibration(rows, np.full(len(rows.kinds), 1.0)).ece == pytest.approx(0.5)


def test_only_errors_or_only_harmless_changes_teach_nothing() -> None:
    for kinds, missing in (((*CONTROLS,), "errors"), (("omission",), "harmless changes")):
        with pytest.raises(DataError, match=f"no room for {missing}"):
            fit_model(made_rows().of_kinds(kinds), Candidate("logistic", 1), seed=0)


def test_parts_share_no_study_and_no_text_and_the_audit_draws_the_held_out_ones(
    chest_reports: Path, fit_options: FitOptions
) -> None:
    parts = split_studies(chest_reports, fit_options)
    sides = [parts.fit, parts.validation, parts.test]
    ids = [{study.study_id for study in part} for part in sides]
    texts = [{study.reference.text for study in part} for part in sides]
    for first in range(3):
        assert ids[first]
        for second in range(first):
            assert not ids[first] & ids[second]
            assert not texts[first] & texts[second]
    audited = draw_reports(chest_reports, AuditOptions(fit_options.held_out, "", fit_options.seed)).studies
    assert [study.study_id for study in audited] == [study.study_id for study in parts.test]
    assert split_studies(chest_reports, fit_options) == parts


def test_a_text_of_a_held_out_report_is_not_fitted_on(tmp_path: Path, chest_reports: Path) -> None:
    with chest_reports.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    twice = tmp_path / "twice.csv"
    with twice.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows, *[[f"again-{row[0]}", *row[1:]] for row in rows]])
    parts = split_studies(twice, FitOptions(held_out=30, limit=0))
    texts = {study.reference.text for study in parts.test}
    assert parts.same_text > 0
    assert texts.isdisjoint(study.reference.text for study in (*parts.fit, *parts.validation))


def test_a_kind_that_was_left_out_is_measured_as_unseen(
    fitted_reward: Fitted, fit_options: FitOptions
) -> None:
    assert fitted_reward.measures is not None
    assert set(fitted_reward.measures.seen) == set(fit_options.kinds)
    assert "duplication" in fitted_reward.measures.unseen
    assert set(fitted_reward.measures.unseen_alarms) == set(CONTROLS)


def test_unseen_kinds_are_told_from_harmless_changes(fitted_reward: Fitted) -> None:
    assert fitted_reward.measures is not None
    unseen = fitted_reward.measures.unseen
    values = [one.auc for one in unseen.values() if one.auc is not None and one.variants >= 10]
    assert np.mean(values) > 0.75


@pytest.mark.parametrize("change", [*CORRUPTIONS, *DEGENERATE])
def test_gold_scores_the_maximum_and_what_is_wrong_less(reward_folder: Path, change: str) -> None:
    reward = LearnedReward(reward_folder)
    for pair in OWN_REPORTS:
        gold = pair.reference
        wrong = {**CORRUPTIONS, **DEGENERATE}[change](pair.report)
        if wrong is None or wrong == gold:
            continue
        best, worse = reward.score(reference=[gold, gold], prediction=[gold, wrong])
        assert best == 1.0
        assert worse is not None
        assert worse < 1.0, pair.kind


def test_saving_and_loading_changes_no_score(fitted_reward: Fitted, reward_folder: Path) -> None:
    loaded = LearnedReward(reward_folder).model
    assert loaded == fitted_reward.model
    points = np.random.default_rng(0).gamma(1.0, 1.0, size=(50, len(loaded.features)))
    assert (loaded.scores(points) == fitted_reward.model.scores(points)).all()


def test_trees_survive_the_file_too() -> None:
    model = fitted(Candidate("boosting", 4), made_rows())
    again = RewardModel.model_validate(json.loads(json.dumps(model.model_dump(mode="json"))))
    points = made_rows(seed=3).features
    assert (again.scores(points) == model.scores(points)).all()


def test_the_same_fit_gives_the_same_bytes(
    fitted_reward: Fitted, reward_folder: Path, chest_reports: Path, fit_options: FitOptions, tmp_path: Path
) -> None:
    write_fit(tmp_path / "again", fit_reward(chest_reports, fit_options, candidates_of("logistic")))
    for name in (FILE, "metrics.json", "fit.html"):
        assert (tmp_path / "again" / name).read_bytes() == (reward_folder / name).read_bytes()


def test_no_file_holds_report_text(reward_folder: Path, chest_reports: Path) -> None:
    with chest_reports.open(newline="", encoding="utf-8") as file:
        sentences = {
            part for row in csv.DictReader(file) for part in row["findings"].split(". ") if len(part) > 20
        }
    assert sentences
    for file in reward_folder.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not [sentence for sentence in sentences if sentence in text]


def changed(folder: Path, out: Path, **changes: Any) -> Path:
    card = read_card(folder)
    for key, value in changes.items():
        node = card
        *path, last = key.split("__")
        for part in path:
            node = node[part]
        node[last] = value
    out.mkdir()
    (out / FILE).write_text(json.dumps(card))
    return out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 2}, "Update radflow"),
        ({"format": "something-else"}, "none of radflow's fitted rewards"),
        ({"reward__slope": -1}, "greater than or equal to 0"),
        ({"reward__slope": float("nan")}, "can't be read as JSON"),
        ({"reward__features": ["magic"]}, "number of columns"),
        ({"reward__surprise": 1}, "Extra inputs"),
        ({"reward__model": {"kind": "pickle"}}, "kind"),
        ({"reward__model": {"kind": "linear", "weights": [-1.0], "scales": [1.0]}}, "negative"),
        (
            {
                "reward__model": {
                    "kind": "trees",
                    "floor": 0,
                    "scales": [1],
                    "trees": [{"feature": [0], "threshold": [0], "left": [0], "right": [0], "value": [0]}],
                }
            },
            "behind its parent",
        ),
    ],
)
def test_other_files_are_refused_with_what_to_do(
    reward_folder: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ModelError) as caught:
        LearnedReward(changed(reward_folder, tmp_path / "other", **changes))
    assert told in str(caught.value)
    assert "radflow reward fit" in str(caught.value)


def test_a_feature_that_radflow_hasnt_is_refused(reward_folder: Path, tmp_path: Path) -> None:
    names = [*read_card(reward_folder)["reward"]["features"][:-1], "magic"]
    with pytest.raises(ModelError, match="magic"):
        LearnedReward(changed(reward_folder, tmp_path / "other", reward__features=names))


def test_as_one_more_term_and_alone(reward_folder: Path) -> None:
    more = HierarchicalReward(RewardConfig(learned=str(reward_folder), learned_weight=2.0))
    assert more([None], [REFERENCE], reference=[REFERENCE])[0] == pytest.approx(4 + 2)
    none = {"language": 0, "domain": 0, "consistency": 0, "impression": 0}
    alone = HierarchicalReward(RewardConfig(**none, learned=str(reward_folder)))
    wrong = REFERENCE.replace("left", "right")
    totals = alone([None] * 3, [REFERENCE, wrong, ""], reference=[REFERENCE] * 3)
    values = LearnedReward(reward_folder).score(reference=[REFERENCE] * 3, prediction=[REFERENCE, wrong, ""])
    assert totals == values
    assert totals[0] == 1.0
    assert totals[1] is not None
    assert totals[1] < 1
    assert "learned" in alone.records[0].terms


def test_it_applies_by_the_reference_alone(reward_folder: Path) -> None:
    reward = HierarchicalReward(RewardConfig(learned=str(reward_folder)))
    for text in (REFERENCE, "", "anything"):
        record = reward.score(references=[parse_report("")], predictions=[text], study_ids=["a"])[0]
        assert record.terms["learned"].value is None
        assert record.total is not None  # it doesn't apply: nothing has failed


def test_without_the_setting_records_are_what_they_were() -> None:
    record = HierarchicalReward().score(
        references=[parse_report(REFERENCE)], predictions=[REFERENCE], study_ids=["a"]
    )[0]
    assert list(record.terms) == ["language", "domain", "consistency", "impression"]


def test_a_wrong_folder_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="radflow reward fit"):
        HierarchicalReward(RewardConfig(learned=str(tmp_path / "nowhere")))
    with pytest.raises(ValueError, match=r"write \./learned"):
        RewardConfig(learned="learned")


def test_as_a_metric_under_a_name_that_says_what_it_is(reward_folder: Path) -> None:
    name = f"learned-reward:{reward_folder}"
    metric = find_metric(name)
    assert (metric.name, metric.low, metric.high, metric.direction) == (name, 0.0, 1.0, "higher")
    values = LoadedMetric(name).per_study(references=[REFERENCE] * 2, predictions=[REFERENCE, "Clear."])
    assert values[0] == 1.0
    assert values[1] is not None
    assert values[1] < 0.9
    reward = MetricReward(name)
    assert reward(completions=[REFERENCE], reference=[REFERENCE]) == [1.0]


@pytest.mark.parametrize(
    ("name", "told"), [("learned-reward", "learned-reward:FOLDER"), ("learned-rewards", "learned-reward")]
)
def test_a_metric_without_its_folder_is_explained(name: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_metric(name)
    assert told in str(caught.value)


def test_mistakes_of_the_command_say_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Did you mean location"):
        kinds_wanted("locations", "")
    with pytest.raises(ConfigError, match="harmless"):
        kinds_wanted("", "paraphrase")
    with pytest.raises(ConfigError, match="no kind of error is left"):
        kinds_wanted("omission", "omission")
    with pytest.raises(ConfigError, match="Did you mean graph"):
        groups_named("graphs")
    with pytest.raises(ConfigError, match="Known: logistic"):
        candidates_of("forest")
    few = tmp_path / "few.csv"
    few.write_text("id,findings,impression\n1,The lungs are clear.,Normal.\n")
    with pytest.raises(DataError, match="smaller --held-out"):
        split_studies(few, FitOptions(held_out=0))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ConfigError, match=r"radflow\[fit\]"):
        fit_reward(few, FitOptions(), candidates_of("logistic"))


def test_the_command_fits_and_the_old_spelling_scores(chest_reports: Path, tmp_path: Path) -> None:
    out = tmp_path / "learned"
    command = [
        "reward",
        "fit",
        chest_reports,
        "-o",
        out,
        "--held-out",
        20,
        "--models",
        "logistic",
        "--workers",
        1,
    ]
    done = CliRunner().invoke(app, [*map(str, command), "--kinds", "omission,invention"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {"model.json", "metrics.json", "fit.html"}
    rows = tmp_path / "r.jsonl"
    rows.write_text(json.dumps({"id": "a", "report": REFERENCE}) + "\n")
    score = ["reward", "--reference", rows, "--prediction", rows, "--set", f"reward.learned={out}"]
    done = CliRunner().invoke(app, list(map(str, score)), catch_exceptions=False)
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["learned", "1.000"] in lines
    assert ["reward", "5.000"] in lines
    for missing, told in (
        (["reward"], "--reference"),
        (["reward", "--reference", str(rows)], "--prediction"),
    ):
        done = CliRunner().invoke(app, missing)
        assert done.exit_code == 2
        assert told in done.output
    done = CliRunner().invoke(app, ["reward", "--reference", str(rows), "fit", str(rows), "-o", str(out)])
    assert done.exit_code == 2


@pytest.mark.data
def test_real_reports_score_the_maximum(real_data: Path, reward_folder: Path) -> None:
    options = AuditOptions(60, "", 0, id_column="uid")
    studies = draw_reports(real_data / "iu_xray" / "indiana_reports.csv", options).studies
    texts = [study.reference.text for study in studies]
    reward = LearnedReward(reward_folder)
    assert reward.score(reference=texts, prediction=texts) == [1.0] * len(texts)
    fit = FitOptions(seed=0)
    rows = rows_of(studies, fit, label="variants").with_columns(
        [FEATURES.index(n) for n in reward.model.features]
    )
    scores = reward.model.scores(rows.features)
    found = kind_measures(rows, scores, ["omission", "invention", "contradiction", "truncation"])
    assert all(one.auc is not None and one.auc > 0.8 for one in found.values())
