"""Greedy reports of held-out studies while RFT runs: their reward, and a label F1 that is no part of it"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radflow.clinical.label_table import RuleLabels
from radflow.clinical.ontology_file import load_ontology
from radflow.config import GenerationConfig, ModelConfig
from radflow.errors import RunError
from radflow.models.generation import generate_batch, plan_batches
from radflow.models.prompts import prompt_messages, target_text
from radflow.models.vlm import Policy
from radflow.records import Study
from radflow.training.capo import DefinedReward, Reward
from radflow.training.together import collected, share_of

BATCH = 64
Scored = tuple[dict[str, float | None], int, int]
"""Rewards of a report, twice its right labels, and the labels that it or its reference says."""


class Validation:
    """Scores a policy on held-out studies.

    Args:
        studies: at least one.
        reward: the reward that RFT maximises.
        max_new_tokens: length limit of a report.
        ontology: whose labels the F1 compares.
    """

    def __init__(
        self,
        studies: Sequence[Study],
        *,
        reward: Reward,
        model: ModelConfig,
        max_new_tokens: int,
        image_root: Path,
        ontology: str = "chest-xray",
    ) -> None:
        self.reward = DefinedReward(reward)
        self.model = model
        self.generation = GenerationConfig(max_new_tokens=max_new_tokens, batch_size=BATCH)
        self.image_root = image_root
        self.batches = plan_batches(studies, model, BATCH)
        self.labels = RuleLabels(ontology)
        self.no_finding = load_ontology(ontology).no_finding
        self.expected = {
            study.study_id: labels
            for study, labels in zip(
                studies, self._asserted([target_text(study.report) for study in studies]), strict=True
            )
        }

    def __call__(self, policy: Policy) -> dict[str, float]:
        """``reward`` and ``reward_TERM``, means over the studies for which they are defined; ``label_f1``,
        micro F1 in [0, 1] of the asserted labels of whole reports, absent when neither side asserts any."""
        was_training = policy.model.training
        # Each process writes its share; the rows of all are the same in each of them.
        found = collected([row for batch in share_of(self.batches) for row in self._scored(policy, batch)])
        policy.model.train(was_training)
        values: dict[str, list[float]] = {}
        for rewards, _, _ in found:
            for name, value in rewards.items():
                if value is not None:
                    values.setdefault(name, []).append(value)
        right, said = sum(right for _, right, _ in found), sum(said for _, _, said in found)
        if "reward" not in values:
            raise RunError(
                "no validation report has a defined reward: the reward's scorer fails on all of them",
                next_step="Check the judge (is its server up?), then run the same command: it goes on from "
                "the last checkpoint. Or set rft.validate_every to 0.",
            )
        means = {name: sum(column) / len(column) for name, column in values.items()}
        return {**means, "label_f1": right / said} if said else means

    def _scored(self, policy: Policy, batch: Sequence[Study]) -> list[Scored]:
        """Of each study's greedy report."""
        written = generate_batch(policy, batch, self.model, self.generation, image_root=self.image_root)
        texts = [row.text for row in written]
        expected = [self.expected[study.study_id] for study in batch]
        return [
            (rewards, 2 * len(labels & known), len(labels) + len(known))
            for rewards, labels, known in zip(
                self._rewards(batch, texts), self._asserted(texts), expected, strict=True
            )
        ]

    def _rewards(self, batch: Sequence[Study], texts: Sequence[str]) -> list[dict[str, float | None]]:
        self.reward(
            prompts=[prompt_messages(study, self.model) for study in batch],
            completions=[[{"role": "assistant", "content": text}] for text in texts],
            reference=[target_text(study.report) for study in batch],
            study_id=[study.study_id for study in batch],
        )
        terms = self.reward.terms or [{} for _ in batch]
        return [
            {"reward": total, **{f"reward_{name}": value for name, value in row.items()}}
            for total, row in zip(self.reward.values, terms, strict=True)
        ]

    def _asserted(self, texts: Sequence[str]) -> list[set[str]]:
        return [
            {name for name, value in labels.items() if value == 1 and name != self.no_finding}
            for labels in self.labels.label(texts)
        ]
