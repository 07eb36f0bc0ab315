"""Generated reports depend on study, model and settings, not on company, order or interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from radflow.config import GenerationConfig, RunConfig
from radflow.jsonl import Appender
from radflow.models.generation import encode_prompts, generate_batch, generate_reports, plan_batches
from radflow.models.vlm import Policy
from radflow.records import Candidate, Study


@pytest.fixture(scope="module")
def studies(studies: list[Study]) -> list[Study]:
    return studies[:10]


GREEDY = GenerationConfig(max_new_tokens=20, batch_size=4)
SAMPLED = GenerationConfig(max_new_tokens=20, batch_size=4, temperature=1.0)


def _write(
    path: Path, policy: Policy, studies: list[Study], config: RunConfig, how: GenerationConfig, root: Path
) -> bytes:
    with Appender(path, Candidate) as into:
        generate_reports(lambda: policy, studies, config.model, how, image_root=root, into=into, seed=5)
    return path.read_bytes()


def test_a_report_does_not_depend_on_its_batch(
    policy: Policy, studies: list[Study], small_config: RunConfig, small_run: Path
) -> None:
    together = generate_batch(policy, studies, small_config.model, GREEDY, image_root=small_run)
    alone = [
        generate_batch(policy, [study], small_config.model, GREEDY, image_root=small_run)[0]
        for study in studies
    ]
    assert together == alone


def test_prompts_of_different_length_are_padded_on_the_left(
    policy: Policy, studies: list[Study], small_config: RunConfig, small_run: Path
) -> None:
    longer = studies[0].model_copy(update={"indication": "Shortness of breath for three weeks."})
    config = small_config.model.model_copy(update={"show_indication": True})
    shorter = studies[1].model_copy(update={"indication": None})
    inputs = encode_prompts(policy, [longer, shorter], config, image_root=small_run)
    assert inputs["attention_mask"][1, 0] == 0
    assert inputs["attention_mask"][:, -1].tolist() == [1, 1]


@pytest.mark.parametrize("how", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("kept", [0, 1, 4, 6, 9])
def test_a_cut_file_is_finished_to_the_same_bytes(
    kept: int,
    how: GenerationConfig,
    policy: Policy,
    studies: list[Study],
    small_config: RunConfig,
    small_run: Path,
    tmp_path: Path,
) -> None:
    whole = _write(tmp_path / "whole.jsonl", policy, studies, small_config, how, small_run)
    lines = whole.splitlines(keepends=True)
    torn = b"".join(lines[:kept]) + lines[kept][:7]
    (tmp_path / "cut.jsonl").write_bytes(torn)
    assert _write(tmp_path / "cut.jsonl", policy, studies, small_config, how, small_run) == whole


def test_every_study_is_planned_once(studies: list[Study], small_config: RunConfig) -> None:
    batches = plan_batches(studies, small_config.model, 4)
    assert sorted(study.study_id for batch in batches for study in batch) == sorted(
        s.study_id for s in studies
    )
    assert [len(batch) for batch in batches] == [4, 4, 2]


def test_an_end_token_is_counted_and_ends_the_report(
    policy: Policy, studies: list[Study], small_config: RunConfig, small_run: Path
) -> None:
    """Force the end token at the third step: two tokens of text and one end token."""
    end = policy.processor.tokenizer.eos_token_id
    original = policy.model.generate

    def ending(**inputs: torch.Tensor) -> torch.Tensor:
        sequences = original(**inputs)
        sequences[:, inputs["input_ids"].shape[1] + 2] = end
        return sequences

    policy.model.generate = ending
    try:
        (candidate,) = generate_batch(policy, studies[:1], small_config.model, GREEDY, image_root=small_run)
    finally:
        policy.model.generate = original
    assert candidate.tokens == 3
    assert candidate.finished
