"""Targets that read the text of reports: nothing but a result may come out, whatever the text"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.fitted_text import TextReader, TextSettings
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.judge_client import _read_completion
from radflow.clinical.judge_errors import errors_question
from radflow.clinical.judge_questions import (
    Question,
    consistency_question,
    criticality_question,
    read_answer,
    sections_question,
)
from radflow.clinical.judge_sections import with_sections
from radflow.clinical.judge_verdicts import SectionsVerdict
from radflow.clinical.labeler import RuleLabeler
from radflow.config import RewardConfig
from radflow.data.phantoms.chest_reader import read_findings
from radflow.data.report_pairs import Case
from radflow.data.rexrank import report_of_text
from radflow.data.sections import parse_report, render_report, segments
from radflow.data.sources.mimic_sections import official_report
from radflow.metrics.declaration import Fitted
from radflow.metrics.report_parts import PARTS
from radflow.metrics.scoring import CaseScorer, Plan, _finish, make_plan, pairs_of
from radflow.records import Report
from radflow.reporting.conflict_marks import drawn_conflicts
from radflow.reporting.marked_text import marked
from radflow.rewards.hierarchical import HierarchicalReward
from tests.fuzz.target import SECRET, Target

BETWEEN = "\x1e"
"""Stands between two texts of one input."""
GERMAN = {"Befund": "findings", "Beurteilung": "impression"}
REPORTS = (
    f"FINDINGS: There is a small {SECRET}. The heart is mildly enlarged.\nIMPRESSION: 1. {SECRET}. 2. No "
    "pneumonia.",
    "EXAM: CHEST, TWO VIEWS\nINDICATION: Cough.\nFINDINGS:\nNo consolidation, effusion or pneumothorax. "
    "Cannot exclude edema.\n\nIMPRESSION:\nNo acute disease.",
    "<findings>Opacity may represent atelectasis versus pneumonia</findings><impression>**Atelectasis**",
    "Findings: clear. Impression - normal chest. END OF IMPRESSION: SUMMARY 1. Clear",
    "RIGHT CAROTID: ICA psv 125 cm/s, edv 40 cm/s, ICA/CCA ratio 2.1.\nLEFT CAROTID: stenosis 50-69 %. "
    "IMPRESSION: No hemodynamically significant stenosis.",
    "Befund: Kein Pleuraerguss. Herz nicht vergrößert.\nBeurteilung: Unauffälliger Befund.",
    "The ET tube tip is 2.5 x 3 cm above the carina XXXX ___ Heart normal No effusion (small), however new",
)
SEEDS = tuple(report.encode() for report in REPORTS)
_WORDS = """FINDINGS: IMPRESSION: Impression: CONCLUSION FINDINGS/IMPRESSION: COMPARISON: ADDENDUM <findings>
    </findings> <b> ** ## [IMPRESSION] ___ XXXX None NaN no not without possible may resolved has is effusion
    pneumothorax edema heart lungs normal enlarged left right bilateral small large new , . ; : ( ) / and or
    but which versus excluded tube tip 2.5 cm x 50 % psv ica 125 cm/s stenosis kein Erguss İ ß ﬁ 1. - •"""
_PIECES = ("\n", "\n\n", "\r\n", "\t", "\xa0", "：", "cannot be excluded", "history of ", "e\u0301", "\u202e")
WORDS = tuple(word.encode() for word in (*_WORDS.split(), *_PIECES, BETWEEN))


def text_of(data: bytes) -> str:
    """UTF-8; other bytes become lone surrogates, as broken decoders leave them behind."""
    return data.decode("utf-8", "surrogateescape")


def two_texts(data: bytes) -> tuple[str, str]:
    first, _, second = text_of(data).partition(BETWEEN)
    return first, second


@cache
def labelers() -> tuple[RuleLabeler, ...]:
    return tuple(map(RuleLabeler, ("chest-xray", "carotid-ultrasound", "chest-xray-de")))


@cache
def graphs() -> tuple[LexiconGraph, ...]:
    return tuple(map(LexiconGraph, ("chest-xray", "carotid-ultrasound")))


@cache
def criticality() -> RuleCriticality:
    return RuleCriticality(levels=("critical", "urgent"))


@cache
def consistency() -> LabelConsistency:
    return LabelConsistency()


@cache
def plan() -> Plan:
    lexical = ("fast", "cider", "sentence-bleu-4", "coco-bleu-4", "sacrebleu-sentence", "radcliq-bleu-2")
    return make_plan((*lexical, "radeval-rouge-l", "run"), PARTS)


@cache
def scorer_of_case() -> CaseScorer:
    """Opened once: reading the ontologies takes a hundred times as long as a report."""
    return CaseScorer(plan().pooled, plan().parts, ontology=plan().ontology, decides=True)


@cache
def reward() -> HierarchicalReward:
    return HierarchicalReward(RewardConfig(domain_observations=0.5, impression_weighting="severity"))


def sections(data: bytes) -> None:
    text = text_of(data)
    for headers in (None, GERMAN):
        parts = segments(text, headers=headers)
        assert "".join(part.header + part.body for part in parts) == text
        report = parse_report(text, fallback="last_paragraph", headers=headers)
        assert report.text == text
    report = parse_report(text)
    again = parse_report(render_report(findings=report.findings, impression=report.impression))
    assert (again.findings is None) == (report.findings is None)
    assert (again.impression is None) == (report.impression is None)
    official_report(text, fallback="last_paragraph")
    report_of_text(text)


def labels(data: bytes) -> None:
    text = text_of(data)
    for labeler in labelers():
        found = labeler.label(text)
        assert all(0 <= one.start < one.end <= len(text) for one in found)
        assert marked(text, found).unescape() is not None
    criticality().decide("s", text)
    read_findings(text)
    TextReader(TextSettings())([text])


def graph(data: bytes) -> None:
    for reader in graphs():
        (found,) = reader.read([text_of(data)])
        assert all(one.start <= one.end for one in found.entities)


def agreement(data: bytes) -> None:
    findings, impression = two_texts(data)
    report = Report.model_construct(
        text=f"{findings}\n{impression}", findings=findings, impression=impression, other={}
    )
    drawn_conflicts(report, consistency().check(report))


def metrics(data: bytes) -> None:
    reference, prediction = map(parse_report, two_texts(data))
    case = Case("s", None, reference, prediction)
    for scorer in plan().scorers.values():
        if isinstance(scorer, Fitted):
            scorer.fit(pairs_of(case, PARTS))
    for row in _finish([case], [scorer_of_case()(case)], plan(), "system"):
        assert all(value is None or math.isfinite(value) for value in row.values.values())
        row.model_dump_json()


def rewards(data: bytes) -> None:
    reference, prediction = two_texts(data)
    (score,) = reward().score(references=[parse_report(reference)], predictions=[prediction], study_ids=["s"])
    assert score.total is not None
    assert math.isfinite(score.total)


REPORT = REPORTS[0]
QUOTED = {
    "findings_quote": f"small {SECRET}",
    "impression_quote": SECRET,
    "kind": "contradicted",
    "label": "x",
}
ANSWERS: tuple[object, ...] = (
    {"problems": [], "verdict": "consistent"},
    {"problems": [QUOTED], "verdict": "inconsistent"},
    {"reason": SECRET, "is_critical": True, "confidence": 0.9},
    {"findings": f"There is a small {SECRET}. The heart is mildly enlarged.", "impression": None},
    {"errors": [], "matched": [{"reference_quote": SECRET, "candidate_quote": SECRET}]},
    {"verdicts": [{"candidate": 1, "verdict": {"problems": [], "verdict": "consistent"}}, {"candidate": 2}]},
    {"choices": [{"finish_reason": "stop", "message": {"content": "{}"}}], "usage": {"prompt_tokens": 1}},
)
ANSWER_SEEDS = tuple(
    text.encode()
    for value in ANSWERS
    for text in (json.dumps(value), f"<think>{SECRET}</think>\n```json\n{json.dumps(value)}\n```  ")
)


_MARKS = r'{ } [ ] " : , null true 1 0.5 \ud800 \u0000 NaN Infinity 1e999 ```json ``` <think> </think>'
ANSWER_WORDS = (
    *_MARKS.encode().split(),
    *(b'"candidate"', b'"verdict"', b'"verdicts"', b'"problems"', b" " * 50, SECRET.encode()),
)


def questions() -> Iterator[Question]:
    report = parse_report(REPORT)
    yield consistency_question("s", findings=report.findings or "", impression=report.impression or "")
    yield criticality_question("s", report=REPORT)
    yield sections_question("s", text=f"{REPORT}\n\n\n")
    yield errors_question("s", reference=REPORT, candidate=REPORT)


def judge(data: bytes) -> None:
    content = text_of(data)
    for question in questions():
        for is_group in (False, True):
            for read in read_answer(content, [question, question][: 1 + is_group], is_group=is_group):
                if isinstance(read, str):
                    assert SECRET.split()[0] not in read, "a complaint repeats the answer"
                elif isinstance(read, SectionsVerdict):
                    with_sections(parse_report(question.payload["text"]), read)
    _read_completion(data)


def text_target(name: str, run: object, *, pairs: bool = False, seconds: float = 5.0) -> Target:
    seeds = SEEDS
    if pairs:
        marks = BETWEEN.encode()
        seeds = tuple(one + marks + other for one in SEEDS for other in (SEEDS[0], SEEDS[1], one))
    return Target(name, run, seeds, WORDS, refuses=(), seconds=seconds)  # type: ignore[arg-type]


TARGETS = (
    text_target("sections", sections),
    text_target("labeler", labels),
    text_target("graph", graph),
    text_target("consistency", agreement, pairs=True),
    text_target("metrics", metrics, pairs=True, seconds=10.0),
    text_target("reward", rewards, pairs=True, seconds=10.0),
    Target(
        "judge",
        judge,
        ANSWER_SEEDS,
        ANSWER_WORDS,
        refuses=(),
    ),
)
