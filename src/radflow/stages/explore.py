"""Target Exploration: the fine-tuned model writes for its training studies; the worst of them are selected"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from radflow.clinical.label_table import RuleLabels
from radflow.config import IN_PROCESS, EngineConfig, RunConfig
from radflow.engine import map_rows
from radflow.errors import DataError, RunError
from radflow.jsonl import Appender, write_jsonl
from radflow.metrics.composite import Composite, CompositeScorer, Pair, PairChunk
from radflow.models.generation import generate_reports
from radflow.models.run_models import SFT_FOLDER, LoadRunModel
from radflow.models.vlm import pick_device
from radflow.records import Candidate, ExploredCandidate, LeftOut, RowFailure, Study
from radflow.run_dir import RunDir
from radflow.terminal import console
from radflow.training.selection import rarest_label_groups, select
from radflow.training.selection_facts import selection_facts, selection_table

CHUNK = 64
"""Pairs that are scored together; a cut run scores a begun chunk again."""
PARALLEL_FROM = 2000
"""Pairs from which several processes gain more than their start costs, some seconds each."""
NOTHING_ASSERTED = "nothing asserted"
"""The label group of studies whose reference asserts no label, not even that there is no finding."""


def run(config: RunConfig, run: RunDir) -> dict[str, Any]:
    """studies.jsonl, model-sft/ -> candidates.jsonl, hard.jsonl, unscored.jsonl"""
    studies = [study for study in run.read(Study, "studies.jsonl") if study.split == "train"]
    if not studies:
        raise DataError("no training studies", where="studies.jsonl", next_step="Check data.split.")
    scorer, engine = _scorer(config, pairs=len(studies))
    console.print(f"composite of {', '.join(scorer.scorers.values())}")
    written, facts = _write_reports(config, run, studies)
    explored = _score(studies, written, scorer, run, engine=engine)
    composites = {row.study_id: row.composite for row in explored if row.composite is not None}
    unscored = [LeftOut(study_id=row.study_id, reason=row.reason or "") for row in explored if row.reason]
    _require_scores(composites, unscored)
    labels = _labels(studies, config)
    chosen = select(
        composites,
        config.explore.selection,
        fraction=config.explore.fraction,
        anchor_fraction=config.explore.anchor_fraction,
        seed=config.seed,
        groups=rarest_label_groups(labels, without=NOTHING_ASSERTED),
    )
    write_jsonl(run.path("hard.jsonl"), chosen)
    write_jsonl(run.path("unscored.jsonl"), unscored)
    facts |= {"scorers": scorer.scorers} | selection_facts(composites, chosen, labels, unscored)
    console.print(selection_table(facts))
    return facts


def _scorer(config: RunConfig, *, pairs: int) -> tuple[CompositeScorer, EngineConfig]:
    """The scorer and where it pays to run it; missing backends are named before any work."""
    device = pick_device(config.model.device)
    engine = config.engine if device == "cpu" and pairs >= PARALLEL_FROM else IN_PROCESS
    cores = os.cpu_count() or 1
    workers = cores if engine.backend == "ray" else engine.workers or cores
    threads = max(1, cores // workers) if workers > 1 else None
    settings = config.explore
    scorer = CompositeScorer(settings.composite, ontology=settings.ontology, device=device, threads=threads)
    return scorer, engine


def _write_reports(
    config: RunConfig, run: RunDir, studies: Sequence[Study]
) -> tuple[dict[str, Candidate], dict[str, Any]]:
    load = LoadRunModel(config, run.root, SFT_FOLDER)
    with Appender(run.path("generated.partial.jsonl"), Candidate) as into:
        facts = generate_reports(
            load,
            studies,
            config.model,
            config.explore.generation,
            image_root=run.root,
            into=into,
            seed=config.seed,
            engine=config.engine,
        )
    candidates = {row.study_id: row for row in run.read(Candidate, "generated.partial.jsonl")}
    return candidates, facts.as_dict()


def _score(
    studies: Sequence[Study],
    written: Mapping[str, Candidate],
    scorer: CompositeScorer,
    run: RunDir,
    *,
    engine: EngineConfig,
) -> list[ExploredCandidate]:
    """Score chunk by chunk into candidates.jsonl, in the studies' order; whole chunks in it stay."""
    pairs = [Pair(study.study_id, study.report, written[study.study_id].text) for study in studies]
    chunks = [PairChunk(tuple(pairs[start : start + CHUNK])) for start in range(0, len(pairs), CHUNK)]
    with Appender(run.path("candidates.jsonl"), ExploredCandidate) as into:
        _require_same_scorers(into.rows, scorer, run)
        done = {row.study_id for row in into.rows}
        left = [chunk for chunk in chunks if not all(pair.study_id in done for pair in chunk.pairs)]
        scores = map_rows(scorer, left, engine=engine, label="score", total=len(left))
        for chunk, found in zip(left, scores, strict=True):
            rows = _one_by_one(chunk, scorer) if isinstance(found, RowFailure) else found
            explored = zip(chunk.pairs, rows, strict=True)
            into.append(
                _explored(written[pair.study_id], row, scorer.scorers)
                for pair, row in explored
                if pair.study_id not in done
            )
    return run.read(ExploredCandidate, "candidates.jsonl")


def _one_by_one(chunk: PairChunk, scorer: CompositeScorer) -> Iterator[Composite | RowFailure]:
    """After a failure, so that the one bad pair does not cost the others."""
    singles = (PairChunk((pair,)) for pair in chunk.pairs)
    for found in map_rows(scorer, singles, label="score", total=len(chunk.pairs)):
        yield found if isinstance(found, RowFailure) else found[0]


def _explored(
    candidate: Candidate, score: Composite | RowFailure, scorers: dict[str, str]
) -> ExploredCandidate:
    if isinstance(score, RowFailure):
        score = Composite(None, None, None, None, reason=f"failed: {score.kind}")
    return ExploredCandidate(**candidate.model_dump(), **score._asdict(), scorers=scorers)


def _require_same_scorers(rows: Iterable[ExploredCandidate], scorer: CompositeScorer, run: RunDir) -> None:
    """A run that was cut must not go on with another encoder, as auto could choose elsewhere."""
    for row in rows:
        if row.scorers != scorer.scorers:
            raise RunError(
                f"candidates were scored by {', '.join(row.scorers.values())} before the run was cut, "
                f"and would now be by {', '.join(scorer.scorers.values())}",
                where=str(run.path("candidates.jsonl")),
                next_step="Install what is missing, or delete the file to score all of them again.",
            )


def _require_scores(composites: Mapping[str, float], unscored: Sequence[LeftOut]) -> None:
    if not composites:
        reasons = Counter(row.reason for row in unscored)
        raise DataError(
            "no training study could be scored: "
            + ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
            where="candidates.jsonl",
            next_step="Set explore.ontology to one that knows the words of these reports, or give the "
            "component that fails weight 0 (explore.composite).",
        )


def _labels(studies: Sequence[Study], config: RunConfig) -> dict[str, list[str]]:
    """Study id -> what its reference says is present, No Finding included."""
    ontology = config.explore.ontology
    rows = RuleLabels(ontology).label([study.report.text for study in studies])
    return {
        study.study_id: [name for name, value in row.items() if value == 1]
        for study, row in zip(studies, rows, strict=True)
    }
