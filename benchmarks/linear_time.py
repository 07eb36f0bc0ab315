"""Time over the length of hostile reports, for all that reads report text: 1, 2, 4 times as long; 10 MB

Processor time on one core, nothing remembered from text to text. `--search SECONDS` looks for hostile units
that the list doesn't hold: pieces of the vocabulary at random, the worst ratio wins.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, cast

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.criticality import RuleCriticality
from radflow.clinical.fitted_text import TextReader, TextSettings
from radflow.clinical.graph import LexiconGraph
from radflow.clinical.judge_questions import read_answer, sections_question
from radflow.clinical.judge_verdicts import SectionsVerdict, find_verbatim, section_spans
from radflow.clinical.labeler import RuleLabeler
from radflow.clinical.tokens import sentences, tokens
from radflow.data.phantoms.chest_reader import read_findings
from radflow.data.rexrank import report_of_text
from radflow.data.sections import parse_report, render_report
from radflow.data.sources.checks import field_text
from radflow.data.sources.mimic_sections import official_report
from radflow.metrics.bleu import coco_tokens, radcliq_tokens, sacrebleu_tokens
from radflow.metrics.cider import ngrams_of
from radflow.metrics.lexical import rouge_l, sentence_bleu, tokenize, words
from radflow.metrics.overlap import chrf_counts
from radflow.records import Mention, Report
from radflow.reporting.marked_text import marked
from radflow.rewards.terms import novelty

Read = Callable[[str], object]
REFERENCE = "There is a small left pleural effusion. The heart is mildly enlarged. No pneumothorax. " * 3
LARGEST = 10_000_000
WORST = 6.0
"""Four times the text may take so many times the time: 4 is linear, 16 quadratic."""

UNITS = (
    *(".", ". ", ".)", '."', "!?", "(", ")", ",", ", ", ";", ":", "\n", "\n\n", " \n", "\r\n", " ", "\t"),
    *("*", "**", "# ", "#", "<", "<b>", "<<b>b>", "<findings>", "</findings>", "[", "=", "\n---", "\n- "),
    *("-", "_", "FINDINGS:", "FINDINGS: ", "\nFINDINGS: ", "IMPRESSION*", "IMPRESSION ", "FINDINGS AND "),
    *("\nCHEST, TWO ", "A", "a ", "A ", "Aa ", "\u0130", "e\u0301", "\u202e", "\x00", "1", "1.", "1. ", "1x"),
    *("2 x ", "12.5 cm ", "no ", "no effusion, ", "no effusion or ", "and ", "may effusion, ", "history of "),
    *("effusion Heart ", "effusion ) ", "no effusion ) ", "Lungs: ", "XXXX ", "not seen ", "effusion {}, "),
    *("effusion cannot be excluded ", "Pneumothorax {}. ", "Small left effusion {}. No right mass {}. "),
    *("ICA PSV 250 cm/s {}. No dissection {}. ", "ica psv 125 cm/s stenosis 50% ", "LEFT: plaque {}.\n"),
    *("</think>", "<think>", "```", "``` ", "{", '["', "Heart enlarged {}. "),
)
"""What is repeated; ``{}`` is another number each time, so that no sentence is like another."""


FEW = (
    *(
        ".",
        " ",
        "\n",
        "#",
        "<<b>b>",
        "FINDINGS: ",
        "A",
        "no effusion or ",
        "effusion Heart ",
        "effusion {}, ",
    ),
    *("effusion cannot be excluded ", "Pneumothorax {}. ", "Small left effusion {}. No right mass {}. "),
    "ICA PSV 250 cm/s {}. No dissection {}. ",
)
"""Those of different kinds, for the tests."""


class Shape(NamedTuple):
    """What stands before and behind the repeated unit."""

    before: str
    behind: str


SHAPES = (
    Shape("FINDINGS: Clear", "x effusion.\nIMPRESSION: No edema."),
    Shape("", "x"),
)


def hostile(unit: str, size: int, shape: Shape = SHAPES[1]) -> str:
    """About ``size`` characters of one unit."""
    count = max(1, size // len(unit))
    if "{}" in unit:
        body = "".join(unit.replace("{}", str(number)) for number in range(count))
    else:
        body = unit * count
    return f"{shape.before}{body}{shape.behind}"


def _answer(text: str) -> object:
    return read_answer(text, [sections_question("s", text=REFERENCE)], is_group=False)


def _section_spans(text: str) -> object:
    return section_spans(SectionsVerdict(findings="zz", impression=None), f"{text}y zz")


def _quoted(text: str) -> object:
    return find_verbatim(f"{text[: len(text) // 2]} and more", text)


def _labelled(name: str) -> Callable[[], Read]:
    def opened() -> Read:
        labeler = RuleLabeler(name)

        def read(text: str) -> object:
            labeler._remembered.clear()
            return labeler.label(text)

        return read

    return opened


def _consistency() -> Read:
    rules = LabelConsistency()

    def read(text: str) -> object:
        rules._remembered.clear()
        rules._labeler._remembered.clear()
        return rules.check(Report(text="", findings=text, impression=text))

    return read


def _criticality() -> Read:
    rules = RuleCriticality()

    def read(text: str) -> object:
        rules.labeler._remembered.clear()
        return rules.decide("s", text)

    return read


def _graph() -> Read:
    reader = LexiconGraph()

    def read(text: str) -> object:
        reader._remembered.clear()
        return reader.read([text])

    return read


def _marked() -> Read:
    label = _labelled("chest-xray")()
    return lambda text: marked(text, cast("list[Mention]", label(text)))


READERS: dict[str, Callable[[], Read]] = {
    "sections": lambda: parse_report,
    "sections, fallback": lambda: lambda text: parse_report(text, fallback="last_paragraph"),
    "sections, official MIMIC-CXR": lambda: official_report,
    "sections, ReXrank": lambda: report_of_text,
    "rendering": lambda: lambda text: render_report(findings=text, impression=text),
    "scrubbing of cells": lambda: field_text,
    "sentences": lambda: lambda text: list(sentences(text)),
    "tokens": lambda: tokens,
    "labeler, chest": _labelled("chest-xray"),
    "labeler, carotid": _labelled("carotid-ultrasound"),
    "labeler, German": _labelled("chest-xray-de"),
    "labels of a fitted model": lambda: lambda text: TextReader(TextSettings())([text]),
    "phantom reader": lambda: read_findings,
    "graph": _graph,
    "consistency": _consistency,
    "criticality": _criticality,
    "marked text": _marked,
    "novelty": lambda: novelty,
    "BLEU": lambda: lambda text: sentence_bleu(reference=REFERENCE, prediction=text, order=4),
    "ROUGE-L": lambda: lambda text: rouge_l(reference=REFERENCE, prediction=text),
    "chrF": lambda: lambda text: chrf_counts(REFERENCE, text),
    "CIDEr": lambda: ngrams_of,
    "other tokens": lambda: (
        lambda text: [
            len(split(text)) for split in (tokenize, words, coco_tokens, radcliq_tokens, sacrebleu_tokens)
        ]
    ),
    "judge's answer": lambda: _answer,
    "judge's sections": lambda: _section_spans,
    "judge's quote": lambda: _quoted,
}


@cache
def opened(name: str) -> Read:
    """The reader of that name; it forgets all texts before each."""
    return READERS[name]()


def seconds(read: Read, text: str) -> float:
    """Processor time of reading one text."""
    start = time.process_time()
    read(text)
    return time.process_time() - start


def growth(read: Read, unit: str, shape: Shape, size: int, factors: tuple[int, ...]) -> list[float]:
    """Seconds at each multiple of a size."""
    found = []
    for factor in factors:
        text = hostile(unit, size * factor, shape)
        found.append(seconds(read, text))
    return found


class Row(NamedTuple):
    """The unit and shape that made a reader's time grow most."""

    unit: str
    shape: Shape
    taken: list[float]

    @property
    def ratio(self) -> float:
        return self.taken[-1] / max(self.taken[0], 1e-3)


def worst_of(read: Read, size: int) -> tuple[Row, Row]:
    """Of all units and shapes: the fastest growing, and the slowest."""
    rows = [
        Row(unit, shape, growth(read, unit, shape, size, (1, 2, 4))) for unit in UNITS for shape in SHAPES
    ]
    return max(rows, key=lambda row: row.ratio), max(rows, key=lambda row: row.taken[-1])


def table(names: list[str], size: int, largest: int) -> None:
    print(f"{size * 4 / 1e6:g} MB against {size / 1e6:g} MB; linear is 4")
    print("| reader | fastest growing unit | 2x | 4x | slowest unit | s per MB | s for one line of 10 MB |")
    print("| --- | --- | ---: | ---: | --- | ---: | ---: |")
    for name in names:
        growing, slow = worst_of(opened(name), size)
        one, two, four = growing.taken
        per_mb = slow.taken[-1] / (4 * size / 1e6)
        unit = slow.unit.replace("\n", " ")
        line = seconds(opened(name), hostile(unit, largest, Shape("", ""))) if largest else float("nan")
        floor = max(one, 1e-3)
        flag = " **not linear**" if growing.ratio > WORST else ""
        print(
            f"| {name} | {growing.unit!r} | {two / floor:.1f} | {four / floor:.1f}{flag} | {slow.unit!r} | "
            f"{per_mb:.2f} | {line:.1f} |",
            flush=True,
        )


def search(names: list[str], size: int, budget: float, seed: int) -> None:
    """Units of one to four random pieces; prints each reader's worst."""
    draw = random.Random(seed)
    words = "effusion pneumothorax heart is normal not enlarged with left at in of the versus"
    pieces = [*UNITS, *words.split()]
    for name in names:
        until = time.process_time() + budget
        worst: Row | None = None
        tried = 0
        while time.process_time() < until:
            joined = draw.choice(("", " "))
            unit = joined.join(draw.choice(pieces) for _ in range(draw.randint(1, 4)))
            shape = draw.choice((*SHAPES, Shape("", "")))
            row = Row(unit, shape, growth(opened(name), unit, shape, size, (1, 4)))
            tried += 1
            if row.taken[-1] > 0.02 and (worst is None or row.ratio > worst.ratio):
                worst = row
        if worst is not None:
            print(
                f"{name}: {tried} units, worst {worst.unit!r}: {worst.ratio:.1f} ({worst.taken[-1]:.2f} s)",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", help=", ".join(READERS))
    parser.add_argument("--size", type=int, default=50_000, help="characters of the shortest text")
    parser.add_argument(
        "--largest", type=int, default=LARGEST, help="characters of the last column's line; 0: none"
    )
    parser.add_argument("--search", type=float, help="seconds for each reader")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    names = given.readers or list(READERS)
    if given.search:
        search(names, given.size // 5, given.search, given.seed)
    else:
        table(names, given.size, given.largest)


if __name__ == "__main__":
    main()
