"""What the reward needs to know of texts, from readers that are opened once per process and remember

Everything here depends on the text alone, so a reference is read once per study, not once per step, and equal
completions are read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from radflow.clinical.chexpert_classes import LabelValue
from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.fitted_consistency import FittedConsistency
from radflow.clinical.fitted_labeler import is_folder
from radflow.clinical.fitted_labeler import read_card as read_labeler
from radflow.clinical.judge import Judge
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.ontology import Ontology
from radflow.clinical.ontology_file import load_ontology
from radflow.clinical.readers import GRAPH_READERS, LABELERS, open_graph_reader, open_labeler
from radflow.clinical.report_graph import ReportGraph
from radflow.config import JudgeConfig, RewardConfig
from radflow.data.sections import parse_report, render_report
from radflow.errors import ConfigError
from radflow.metrics.learned_model import LearnedReward, read_card
from radflow.metrics.remembered import Remembered
from radflow.records import Report
from radflow.registry import resolve
from radflow.rewards.language import LANGUAGE_METRICS, open_language_metric
from radflow.rewards.terms import Statement, novelty
from radflow.rewards.verdicts import Case, Verdict, ask_judge

RULES = {"rules", "lexicon-graph"}
"""Readers that take an ontology."""


def check_settings(config: RewardConfig, judge: JudgeConfig | None) -> None:
    """Refuse names that nothing has, before anything is loaded.

    Raises:
        ConfigError: unknown metric, reader or labeler; a judge is needed and not given.
        ModelError: no fitted reward or labeler in its folder.
    """
    for kind, registry, name in (
        ("language metric", LANGUAGE_METRICS, config.language_metric),
        ("graph reader", GRAPH_READERS, config.domain_reader),
        ("labeler", LABELERS, config.impression_labeler),
    ):
        if name not in registry and not (registry is LABELERS and is_folder(name)):
            resolve(kind, registry, name)
    for name in (config.impression_labeler, config.consistency_labeler):
        if is_folder(name):
            read_labeler(Path(name))
    if config.learned is not None:
        read_card(Path(config.learned))  # a wrong folder is said before anything is loaded
    if asks_judge(config) and judge is None:
        raise ConfigError(
            f"reward.consistency_backend {config.consistency_backend} needs a judge",
            next_step="Give HierarchicalReward one: judge=JudgeConfig(...), judge_cache=FOLDER.",
        )


def asks_judge(config: RewardConfig) -> bool:
    """Whether the judge is asked; a term of weight 0 isn't worth its calls."""
    return config.consistency_backend != "labels" and config.consistency > 0


class Scorers:
    """The opened readers of one process, each behind its memory.

    Attributes:
        parse: texts -> reports, strictly: a section without a header is absent.
        canonical: (findings, impression, text) of references -> what the policy should have written.
        graphs: texts -> graphs, in lower case unless case counts.
        statements: texts -> what the rules read in them as stated.
        labels: Impressions -> their labels.
        examine: (findings, impression, text) -> whether the rules find it consistent, and are sure of it.
        novelty: texts -> share of their sentences that are new.
        similarity: (reference, prediction) -> similarity of their words.
        learned: (reference, prediction) -> what a fitted reward says; ``None`` without one.
        severity: what each label counts; ``None`` weighs all alike.
    """

    def __init__(self, config: RewardConfig, judge: JudgeConfig | None, judge_cache: Path | None) -> None:
        self._config = config
        self._judge = Judge(judge, cache=judge_cache or Path("judge-cache")) if judge else None
        self._metric = open_language_metric(config.language_metric, encoder=config.language_encoder)
        self._reader = open_graph_reader(config.domain_reader, **_own(config.domain_reader, config))
        self._labeler = open_labeler(config.impression_labeler, **_own(config.impression_labeler, config))
        self._rules = _consistency(config)
        self._mentions = RuleLabeler(config.ontology)
        ontology = load_ontology(config.ontology)
        self._no_finding = ontology.no_finding
        is_weighted = config.impression_weighting == "severity"
        self.severity = severity_weights(ontology, config) if is_weighted else None
        size = config.cache_size
        self.parse = Remembered(_parse_all, size=size)
        self.canonical = Remembered(_canonical_all, size=size)
        self.graphs = Remembered(self._read_all, size=size)
        self.statements = Remembered(self._state_all, size=size)
        self.labels = Remembered(self._label_all, size=size)
        self.examine = Remembered(self._examine_all, size=size)
        self.novelty = Remembered(_novelty_all, size=size)
        self.similarity = Remembered(self._compare_all, size=size)
        fitted = LearnedReward(config.learned) if config.learned else None
        self.learned = Remembered(_Fitted(fitted), size=size) if fitted else None

    def consistent(self, cases: Sequence[Case], reports: Sequence[Report]) -> list[Verdict]:
        """Whether each report agrees with itself, by the backend of the settings; judge calls run together.

        With both backends the judge decides where the rules are unsure, as in `radflow consistency`.

        Raises:
            JudgeError: the judge can't be used at all.
        """
        judge = self._judge if asks_judge(self._config) else None
        if judge is None or self._config.consistency_backend == "both":
            examined = self.examine([report_key(report) for report in reports])
        else:
            examined = [(False, False)] * len(cases)
        verdicts: list[Verdict] = [is_consistent for is_consistent, _ in examined]
        if judge is None:
            return verdicts
        asked = [place for place, (_, is_sure) in enumerate(examined) if not is_sure]
        in_groups = self._config.judge_calls == "group"
        answers = ask_judge(judge, [cases[place] for place in asked], in_groups=in_groups)
        for place, answer in zip(asked, answers, strict=True):
            verdicts[place] = answer
        return verdicts

    def judge_summary(self) -> dict[str, Any] | None:
        """Counts, tokens and cost of the judge; ``None`` where none is asked."""
        if self._judge is None or not asks_judge(self._config):
            return None
        return self._judge.tally.summary(self._judge.config)

    def _label_all(self, impressions: Sequence[str]) -> list[dict[str, LabelValue]]:
        """Labels without the No Finding column, which only says that the others are empty."""
        found = self._labeler.label(impressions)
        return [
            {name: value for name, value in labels.items() if name not in (self._no_finding, "No Finding")}
            for labels in found
        ]

    def _read_all(self, texts: Sequence[str]) -> list[ReportGraph]:
        graphs = self._reader.read(texts)
        return graphs if self._config.domain_case == "counted" else [in_lower_case(graph) for graph in graphs]

    def _state_all(self, texts: Sequence[str]) -> list[frozenset[Statement]]:
        return [
            frozenset(
                (said.observation, said.assertion, said.side, said.severity, said.location, said.change)
                for said, _, _ in self._mentions.locate(text)
            )
            for text in texts
        ]

    def _examine_all(self, keys: Sequence[tuple[str | None, str | None, str]]) -> list[tuple[bool, bool]]:
        reports = [Report(text=text, findings=findings, impression=said) for findings, said, text in keys]
        examined = map(self._rules.examine, reports)
        return [(found.consistency.verdict == "consistent", found.is_sure) for found in examined]

    def _compare_all(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float | None]:
        references, predictions = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        return self._metric.score(reference=references, prediction=predictions)


def _consistency(config: RewardConfig) -> LabelConsistency | FittedConsistency:
    if is_folder(config.consistency_labeler):
        return FittedConsistency(config.consistency_labeler)
    return LabelConsistency(config.ontology)


class _Fitted:
    """(reference, prediction) pairs -> their scores."""

    def __init__(self, reward: LearnedReward) -> None:
        self._reward = reward

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        return self._reward.score(
            reference=[one for one, _ in pairs], prediction=[other for _, other in pairs]
        )


def in_lower_case(graph: ReportGraph) -> ReportGraph:
    """The graph with its entities' texts in lower case."""
    return replace(
        graph, entities=tuple(replace(entity, text=entity.text.lower()) for entity in graph.entities)
    )


def report_key(report: Report) -> tuple[str | None, str | None, str]:
    """What a report says, as something that can be looked up."""
    return report.findings, report.impression, report.text


def severity_weights(ontology: Ontology, config: RewardConfig) -> Mapping[str, float]:
    """Column -> what it counts: the weight of the observation of that name, else of the gravest one under it.

    A column holds rarer and graver kinds too: a hemothorax stands under Pleural Effusion.
    """
    grades = {"none": 1.0, "urgent": config.severity_urgent, "critical": config.severity_critical}
    weights: dict[str, float] = {}
    for name, item in ontology.observations.items():
        column = item.column or name
        if column in ontology.observations and column != name:
            continue
        weights[column] = max(weights.get(column, 1.0), grades[item.critical])
    return weights


def _own(name: str, config: RewardConfig) -> dict[str, str]:
    return {"ontology": config.ontology} if name in RULES else {}


def _parse_all(texts: Sequence[str]) -> list[Report]:
    return [parse_report(text) for text in texts]


def _canonical_all(keys: Sequence[tuple[str | None, str | None, str]]) -> list[str]:
    """The text that training on the reference aims at; the whole text of a report without sections."""
    return [
        render_report(findings=findings, impression=said) if findings or said else text
        for findings, said, text in keys
    ]


def _novelty_all(texts: Sequence[str]) -> list[float]:
    return [novelty(text) for text in texts]
