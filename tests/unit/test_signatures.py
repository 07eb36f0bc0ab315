"""Every failure signature is provoked by a history that shows it, and by no healthy one."""

from __future__ import annotations

from radflow.training.signatures import Row, signatures


def healthy(rows: int = 20) -> list[dict[str, float]]:
    """A run as it should be: rewards rise, the clip acts a little, validation gains."""
    history: list[dict[str, float]] = [{"step": 0, "validation_reward": 2.0, "validation_label_f1": 0.8}]
    for step in range(1, rows + 1):
        history.append(
            {
                "step": step, "loss": 0.0, "entropy": 0.5, "all/reward": 1.8 + 0.02 * step,
                "all/reward_language": 0.5, "all/reward_consistency": 0.7 + 0.01 * step,
                "all/reward_impression": 0.6, "all/applies_impression": 0.97, "critical/moved": 0.001,
                "critical/kl": 0.002, "critical/clip_fraction": 0.01 * (step % 2), "hardest/reward": 1.4,
                "anchor/reward": 2.1,
            }
        )  # fmt: skip
    history.append({"step": rows, "validation_reward": 2.2, "validation_label_f1": 0.81})
    return history


def names(history: list[dict[str, float]], *, capo: bool = True) -> list[str]:
    rows: list[Row] = list(history)
    return [signature.name for signature in signatures(rows, capo=capo)]


def changed(**columns: object) -> list[dict[str, float]]:
    """A healthy run with other values: a number for all rows, or a function of the step."""
    history = healthy()
    for row in history:
        for name, value in columns.items():
            key = name.replace("__", "/")
            if key in row:
                row[key] = value(row["step"]) if callable(value) else value  # type: ignore[assignment]
    return history


def test_a_healthy_run_shows_none() -> None:
    assert names(healthy()) == []
    assert names([]) == []


def test_consistency_that_is_never_met() -> None:
    assert names(changed(all__reward_consistency=-0.95)) == ["inconsistent-everywhere"]
    assert names(changed(all__reward_consistency=-0.5)) == []


def test_impression_that_is_never_scored() -> None:
    assert names(changed(all__applies_impression=0.02)) == ["impression-skipped"]
    assert names(changed(all__applies_impression=0.4)) == []


def test_groups_whose_completions_all_get_the_same_reward() -> None:
    history: list[Row] = [{**row, "frac_reward_zero_std": 0.97} for row in healthy()]
    (signature,) = signatures(history)
    assert signature.name == "equal-rewards"
    assert signatures([{**row, "frac_reward_zero_std": 0.9} for row in healthy()]) == []


def test_a_policy_that_finds_nothing_while_its_reward_rises() -> None:
    assert names(changed(validation_label_f1=0.0)) == ["finds-nothing"]
    assert names(changed(validation_label_f1=lambda step: 0.3 if step else 0.0)) == []
    assert names(healthy()[1:-1]) == []  # a run without validation is not accused


def test_easy_samples_need_both_no_gain_and_a_hard_set_that_is_not_hard() -> None:
    assert names(changed(hardest__reward=2.2)) == []
    assert names(changed(validation_reward=2.0)) == ["no-gain"]
    assert names(changed(hardest__reward=2.2, validation_reward=2.0)) == ["easy-samples", "no-gain"]


def test_clip_kl_or_movement_of_critical_samples_that_rises_sharply() -> None:
    for column in ("critical__clip_fraction", "critical__kl", "critical__moved"):
        assert names(changed(**{column: lambda step: 0.001 if step < 10 else 0.3})) == [
            "critical-instability"
        ]
        assert names(changed(**{column: lambda step: 0.2 + 0.001 * step})) == []
    assert names(changed(critical__kl=lambda step: 0.008 * step)) == []  # it starts at 0 by definition


def test_entropy_that_collapses() -> None:
    assert names(changed(entropy=lambda step: 0.5 / step)) == ["critical-instability"]


def test_a_clip_that_never_acts() -> None:
    inert = changed(critical__clip_fraction=0.0)
    assert names(inert) == ["inert-clip"]
    assert names(inert, capo=False) == []
    assert "CAPO did nothing" in signatures(list(inert))[0].sign


def test_a_run_without_critical_studies() -> None:
    history = [
        {key: value for key, value in row.items() if not key.startswith("critical/")} for row in healthy()
    ]
    (signature,) = signatures(list(history))
    assert signature.name == "inert-clip"
    assert "no critical study" in signature.sign


def test_a_hacked_reward_names_the_term_that_rose() -> None:
    hacked = changed(
        validation_label_f1=lambda step: 0.8 if step == 0 else 0.6,
        all__reward_language=lambda step: 0.1 + 0.04 * step,
    )
    (signature,) = signatures(list(hacked))
    assert signature.name == "reward-hacking"
    assert "language" in signature.cause
    assert names(changed(validation_label_f1=lambda step: 0.8 if step == 0 else 0.6, all__reward=1.8)) == []


def test_a_short_run_shows_hacking_by_its_validation() -> None:
    history: list[Row] = [
        {"step": 0, "validation_reward": 1.0, "validation_reward_language": 0.2, "validation_label_f1": 0.8},
        {"step": 10, "validation_reward": 1.6, "validation_reward_language": 0.8, "validation_label_f1": 0.6},
    ]
    (signature,) = signatures(history)
    assert signature.name == "reward-hacking"
    assert "language" in signature.cause
    history[1]["validation_label_f1"] = 0.8
    assert signatures(history) == []


def test_every_signature_says_cause_and_remedy() -> None:
    provoked = signatures(
        list(
            changed(
                all__reward_consistency=-1.0, all__applies_impression=0.0, hardest__reward=3.0,
                validation_reward=2.0, critical__clip_fraction=0.0, entropy=lambda step: 0.5 / step,
                validation_label_f1=lambda step: 0.8 if step == 0 else 0.6,
            )
        )
    )  # fmt: skip
    assert len(provoked) == 7
    for signature in provoked:
        assert all(signature.as_dict().values())
        assert signature.cause in signature.message
        assert signature.remedy in signature.message
