"""Cases of a report: which studies are shown, and each with image, reference and the models' texts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from radflow.clinical.labeler import RuleLabeler
from radflow.data.images import fit_within, read_image
from radflow.errors import ImageError
from radflow.records import Study
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
"""Long side of an image in the page, pixels: 200 cases of two images stay under 15 MB."""
IMAGES = 4
"""Images shown of a study; three or four of them are shrunk to the area of two."""
RANKED_BY = ("lexicon-graph-partial", "rouge-l")


@dataclass(frozen=True)
class CaseText:
    """One text of a case.

    Attributes:
        html: with its mentions marked.
        missed, added: observations of the reference that it doesn't assert, and the other way round.
        quality: its score, as text; empty for the reference.
    """

    name: str
    html: Markup
    missed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    quality: str = ""


@dataclass(frozen=True)
class Case:
    """A study with its texts; ``images`` are data URLs."""

    study_id: str
    images: tuple[str, ...]
    is_critical: bool
    change: str
    texts: tuple[CaseText, ...]


@dataclass(frozen=True)
class Cases:
    """The chosen cases, and how they were chosen."""

    rule: str
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
    cases = tuple(
        _case(
            studies[study],
            {name: files.predictions[study][name] for name in systems if name in files.predictions[study]},
            {name: quality.get(name, {}).get(study) for name in systems},
            labeler,
            root=files.root,
            is_critical=study in critical,
            change=f"{metric_name(measure)} {round(known[study], 2) + 0.0:+.2f}" if is_change else "",
        )
        for study in spread(known, count)
    )
    rule = (
        f"{len(cases)} of {len(known)} studies, evenly spread over the ranking by {what} "
        f"({metric_name(measure)}), worst first: first and last are the extremes, none is hand-picked."
    )
    return Cases(rule, cases)


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


def _case(
    study: Study,
    texts: Mapping[str, str],
    qualities: Mapping[str, float | None],
    labeler: RuleLabeler,
    *,
    root: Path,
    is_critical: bool,
    change: str,
) -> Case:
    mentions = labeler.label(study.report)
    expected = asserted(mentions)
    shown = [CaseText("Reference", marked(study.report.text, mentions))]
    for system, text in texts.items():
        read = labeler.label(text)
        written, quality = asserted(read), qualities.get(system)
        shown.append(
            CaseText(
                system_name(system),
                marked(text, read),
                missed=tuple(plain(name) for name in expected if name not in written),
                added=tuple(plain(name) for name in written if name not in expected),
                quality="" if quality is None else f"{quality:.2f}",
            )
        )
    return Case(study.study_id, thumbnails(study.images, root), is_critical, change, tuple(shown))


def thumbnails(images: Sequence[str], root: Path) -> tuple[str, ...]:
    """The first images as data URLs of small PNG files; an unreadable one is left out."""
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
        Image.fromarray(pixels[..., 0] if is_grey else pixels).save(buffer, format="PNG", optimize=True)
        found.append("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode())
    return tuple(found)
