"""Cases of a report: which studies are shown, and each with image, reference and the models' texts."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from radflow.clinical.consistency import LabelConsistency
from radflow.clinical.labeler import RuleLabeler
from radflow.data.images import fit_within, read_image
from radflow.data.sections import parse_report
from radflow.errors import ImageError
from radflow.records import Report, Study
from radflow.reporting.conflict_marks import drawn_conflicts
from radflow.reporting.marked_text import asserted, marked
from radflow.reporting.names import (
    BASELINES,
    SAMPLED,
    TRAINED_FIRST,
    TRAINED_LATER,
    in_order,
    metric_name,
    plain,
    system_name,
)
from radflow.reporting.run_files import RunFiles

THUMBNAIL = 256
"""Long side of an image in the page, pixels."""
QUALITY = 85
"""Of its JPEG: 200 cases of two images stay under 15 MB even where these are noisy; as PNG they would not."""
IMAGES = 4
"""Images shown of a study; three or four of them are shrunk to the area of two."""
RANKED_BY = ("lexicon-graph-partial", "rouge-l")


@dataclass(frozen=True)
class CaseText:
    """One text of a case.

    Attributes:
        html: with its mentions marked.
        missed, added: observations of the reference that it doesn't assert, and the other way round.
    problems: how many things its Findings and Impression disagree in, by rules.
        quality: its score, as text; empty for the reference.
    """

    name: str
    html: Markup
    missed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    quality: str = ""
    problems: int = 0


@dataclass(frozen=True)
class Case:
    """A study with its texts.

    Attributes:
        images: data URLs.
        is_inconsistent: whether a model's text disagrees with itself.
        change: what the later model gained, as text; empty without one.
        rank: what cases are ordered by: that gain, or the score.
        lowest: the lowest score of a model's text; ``None`` without scores.
        labels: what the reference asserts, by place in `Cases.labels`.
    """

    study_id: str
    images: tuple[str, ...]
    is_critical: bool
    is_inconsistent: bool
    change: str
    rank: float
    lowest: float | None
    labels: tuple[int, ...]
    texts: tuple[CaseText, ...]


@dataclass(frozen=True)
class Cases:
    """The chosen cases, and how they were chosen.

    Attributes:
        is_gain: whether a case's rank is a gain, else a score.
        labels: observations that the references assert, each with its number of cases, the commonest first.
    """

    rule: str
    is_gain: bool
    labels: tuple[tuple[str, int], ...]
    cases: tuple[Case, ...]


def build_cases(files: RunFiles, labeler: RuleLabeler, *, count: int) -> Cases:
    """``count`` held-out studies, evenly spread over a ranking: by gain of the later model, else by score."""
    measure, quality = _qualities(files)
    systems = shown_systems(files)
    ranking, what = _ranking(systems, quality)
    studies = {study.study_id: study for study in files.studies}
    known = {study: ranking[study] for study in ranking if study in studies and study in files.predictions}
    critical = critical_studies(files)
    is_change = later_system(systems) is not None
    reader = _Reader(labeler)
    shown = spread(known, count)
    asserted_in = {study: asserted(labeler.label(studies[study].report)) for study in shown}
    counts = Counter(name for names in asserted_in.values() for name in names)
    places = {name: place for place, (name, _) in enumerate(counts.most_common())}
    read = {
        study: reader.texts(studies[study], files.predictions[study], systems, quality) for study in shown
    }
    cases = tuple(
        Case(
            study,
            thumbnails(studies[study].images, files.root),
            is_critical=study in critical,
            is_inconsistent=any(text.problems for text in texts[1:]),
            change=f"{metric_name(measure)} {round(known[study], 2) + 0.0:+.2f}" if is_change else "",
            rank=round(known[study], 4) + 0.0,
            lowest=_lowest(study, systems, quality),
            labels=tuple(places[name] for name in asserted_in[study]),
            texts=texts,
        )
        for study, texts in read.items()
    )
    rule = (
        f"{len(cases)} of {len(known)} studies, evenly spread over the ranking by {what} "
        f"({metric_name(measure)}), worst first: first and last are the extremes, none is hand-picked."
    )
    labels = tuple((plain(name), total) for name, total in counts.most_common())
    return Cases(rule, is_change, labels, cases)


def _lowest(study: str, systems: Sequence[str], quality: Mapping[str, Mapping[str, float]]) -> float | None:
    found = [quality[name][study] for name in systems if study in quality.get(name, {})]
    return round(min(found), 4) if found else None


def shown_systems(files: RunFiles) -> list[str]:
    """Models whose texts are shown, the supervised one first; not baselines, nor sampled texts."""
    every = dict.fromkeys(system for texts in files.predictions.values() for system in texts)
    models = [name for name in in_order(every) if not name.endswith(SAMPLED) and name not in BASELINES]
    return list(reversed(models))


def later_system(systems: Sequence[str]) -> str | None:
    """The model to compare with the supervised one; ``None`` where there is none."""
    return next((name for name in TRAINED_LATER if name in systems), None)


def _ranking(
    systems: Sequence[str], quality: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, float], str]:
    """Study -> what it is ranked by, and what that is."""
    first = next((name for name in TRAINED_FIRST if name in systems), systems[0] if systems else "")
    base = quality.get(first, {})
    later = later_system(systems)
    if later is None or later == first:
        return dict(base), f"the score of {system_name(first)}"
    other = quality.get(later, {})
    gained = {study: other[study] - base[study] for study in base if study in other}
    return gained, f"what {system_name(later)} gained over {system_name(first)}"


def spread(quality: Mapping[str, float], count: int) -> list[str]:
    """``count`` studies at even distances in the ranking, both ends among them; ties are broken by id."""
    ranked = sorted(quality, key=lambda study: (quality[study], study))
    if len(ranked) <= count:
        return ranked
    if count == 1:
        return ranked[len(ranked) // 2 :][:1]
    return [ranked[round(place)] for place in np.linspace(0, len(ranked) - 1, count)] if count else []


def _qualities(files: RunFiles) -> tuple[str, dict[str, dict[str, float]]]:
    """The measure that ranks cases, and system -> study -> its value on the whole report.

    Graph F1 where the evaluation has it, else ROUGE-L, which knows nothing of medicine, else what there is.
    """
    rows = [row for row in files.scores if row.get("part") == "report"]
    known = {name for row in rows for name, value in row.get("values", {}).items() if value is not None}
    measure = next((name for name in RANKED_BY if name in known), min(known, default=RANKED_BY[-1]))
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if (value := row.get("values", {}).get(measure)) is not None:
            found.setdefault(row["system"], {})[row["study_id"]] = float(value)
    return f"report/{measure}", found


def critical_studies(files: RunFiles) -> set[str]:
    """Studies that the evaluation, or the annotation, calls critical."""
    rows = [*files.scores, *files.rows("criticality.jsonl")]
    return {row["study_id"] for row in rows if row.get("is_critical")}


class _Reader:
    """Marks texts: what they assert, what they miss and add, and where they disagree with themselves."""

    def __init__(self, labeler: RuleLabeler) -> None:
        self._labeler = labeler
        self._rules = LabelConsistency(labeler.ontology)

    def texts(
        self,
        study: Study,
        written: Mapping[str, str],
        systems: Sequence[str],
        quality: Mapping[str, Mapping[str, float]],
    ) -> tuple[CaseText, ...]:
        """The reference, then the models' texts."""
        reference, expected = self._read("Reference", study.report)
        shown = [reference]
        for system in systems:
            if system not in written:
                continue
            report = parse_report(written[system], headers=self._labeler.ontology.headers)
            text, asserts = self._read(system_name(system), report)
            score = quality.get(system, {}).get(study.study_id)
            shown.append(
                replace(
                    text,
                    missed=tuple(plain(name) for name in expected if name not in asserts),
                    added=tuple(plain(name) for name in asserts if name not in expected),
                    quality="" if score is None else f"{score:.2f}",
                )
            )
        return tuple(shown)

    def _read(self, name: str, report: Report) -> tuple[CaseText, list[str]]:
        mentions = self._labeler.label(report.text)
        found = self._rules.check(report)
        html = marked(report.text, mentions, drawn_conflicts(report, found))
        return CaseText(name, html, problems=len(found.problems)), asserted(mentions)


def thumbnails(images: Sequence[str], root: Path) -> tuple[str, ...]:
    """The first images as data URLs of small JPEG files; an unreadable one is left out."""
    found = []
    shown = images[:IMAGES]
    long_side = int(THUMBNAIL * min(1.0, (2 / max(1, len(shown))) ** 0.5))
    for name in shown:
        try:
            pixels = fit_within(read_image(root / name), long_side=long_side)
        except ImageError:
            continue
        is_grey = (pixels == pixels[..., :1]).all()
        buffer = BytesIO()
        image = Image.fromarray(pixels[..., 0] if is_grey else pixels)
        image.save(buffer, format="JPEG", quality=QUALITY, optimize=True)
        found.append("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
    return tuple(found)
