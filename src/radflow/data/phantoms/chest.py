"""Chest radiograph phantoms with report and truth: embedded data for training and tests, no download needed.

    phantom = make_chest_phantom(0, seed=7)
    phantom.images[0], phantom.findings, phantom.truth

A phantom depends on ``(seed, index)`` alone; its truth and text don't depend on the image size.
Not for diagnosis: the pictures follow physics, not patients.

Usage:
    python -m radflow.data.phantoms.chest --sheet docs/images/phantom_sheet.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from radflow.data.phantoms.chest_anatomy import Anatomy, sample_anatomy
from radflow.data.phantoms.chest_bodies import ViewName
from radflow.data.phantoms.chest_image import render
from radflow.data.phantoms.chest_text import WrittenReport, write_indication, write_report
from radflow.data.phantoms.chest_truth import LOCATIONS, SEVERITIES, SIDES, Lesion, sample_lesions
from radflow.data.phantoms.dice import dice_of, streams
from radflow.records import Finding

SCHEME = 1
"""Version of the generator; part of the seed, raised when the same index would give another phantom."""


@dataclass(frozen=True, slots=True)
class ChestPhantom:
    """One phantom study.

    Attributes:
        study_id: unique per (seed, index).
        images: one greyscale array (H, W) per view, frontal first; the patient's right on the image's left.
        views: "frontal", then maybe "lateral".
        findings, impression: report sections; at most one of them is ``None``.
        indication: why the examination was asked for; hints at the findings in some studies.
        truth: every finding, whether or not the report says it.
        is_critical: whether any finding needs a call (the rule is ``chest_truth.CRITICAL``).
    """

    study_id: str
    images: tuple[NDArray[np.uint8], ...]
    views: tuple[str, ...]
    findings: str | None
    impression: str | None
    indication: str
    truth: tuple[Finding, ...]
    is_critical: bool


@dataclass(frozen=True, slots=True)
class ChestCase:
    """Everything of a phantom but its pixels."""

    study_id: str
    anatomy: Anatomy
    lesions: tuple[Lesion, ...]
    report: WrittenReport
    indication: str
    noise: np.random.SeedSequence

    @property
    def truth(self) -> tuple[Finding, ...]:
        return tuple(lesion.finding for lesion in self.lesions)


def make_chest_case(index: int, *, seed: int, observations: tuple[str, ...] | None = None) -> ChestCase:
    """The patient, the findings and the report of a phantom, from three independent random streams."""
    who, what, words, noise = streams(4, SCHEME, seed, index)
    lesions = sample_lesions(dice_of(what), observations=observations)
    truth = tuple(lesion.finding for lesion in lesions)
    dice = dice_of(words)
    report = write_report(truth, dice)
    indication = write_indication(truth, dice)
    study_id = f"phantom-{seed}-{index:06d}"
    return ChestCase(study_id, sample_anatomy(dice_of(who)), lesions, report, indication, noise)


def make_chest_report(index: int, *, seed: int, observations: tuple[str, ...] | None = None) -> WrittenReport:
    """The report of ``make_chest_phantom`` with the record of what its impression says; draws no image."""
    return make_chest_case(index, seed=seed, observations=observations).report


def make_chest_phantom(
    index: int,
    *,
    seed: int,
    image_size: int = 64,
    lateral: bool = False,
    observations: tuple[str, ...] | None = None,
) -> ChestPhantom:
    """Draw phantom number ``index`` of a seed.

    Args:
        index: 0 or more.
        seed: 0 or more; another seed is another data set.
        image_size: pixels per side; the detector is 36 cm wide at every size.
        lateral: add a lateral view.
        observations: the only findings that may occur (see ``chest_truth.WEIGHTS``); ``None`` for all.
    """
    case = make_chest_case(index, seed=seed, observations=observations)
    rng = np.random.Generator(np.random.PCG64(case.noise))
    images = [render(case.anatomy, case.lesions, image_size=image_size, view="frontal", rng=rng)]
    if lateral:
        images.append(render(case.anatomy, case.lesions, image_size=image_size, view="lateral", rng=rng))
    return ChestPhantom(
        study_id=case.study_id,
        images=tuple(images),
        views=("frontal", "lateral")[: len(images)],
        findings=case.report.findings,
        impression=case.report.impression,
        indication=case.indication,
        truth=case.truth,
        is_critical=any(finding.is_critical for finding in case.truth),
    )


def every_finding() -> tuple[tuple[Finding, ...], ...]:
    """A normal study, then one study per observation and severity (or place, where it has no severity)."""
    cases: list[tuple[Finding, ...]] = [()]
    for name in sorted({*SEVERITIES, *LOCATIONS, *SIDES}):
        sides = list(SIDES.get(name, {}))
        grades: list[tuple[str | None, str | None]] = [(None, None)]
        if name in SEVERITIES:
            places = list(LOCATIONS.get(name, {None: 1.0}))
            grades = [(grade, places[i % len(places)]) for i, grade in enumerate(SEVERITIES[name])]
        elif name in LOCATIONS:
            grades = [(None, place) for place in LOCATIONS[name]]
        for i, (grade, place) in enumerate(grades):
            side = sides[i % len(sides)] if sides else None
            cases.append((Finding(observation=name, side=side, severity=grade, location=place),))
    return tuple(cases)


def contact_sheet(
    *,
    seed: int = 0,
    image_size: int = 192,
    columns: int = 7,
    cases: Sequence[tuple[Finding, ...]] | None = None,
    lateral: bool = False,
) -> NDArray[np.uint8]:
    """A labelled grid, one phantom per case (every finding by default), each of another patient."""
    cases = every_finding() if cases is None else cases
    cell = image_size + 26
    sheet = Image.new("L", (columns * image_size, -(-len(cases) // columns) * cell))
    pen = ImageDraw.Draw(sheet)
    for number, findings in enumerate(cases):
        who, noise = np.random.SeedSequence((SCHEME, seed, number)).spawn(2)
        lesions = [Lesion(finding, (0.5,) * 8) for finding in findings]
        rng = np.random.Generator(np.random.PCG64(noise))
        view: ViewName = "lateral" if lateral else "frontal"
        image = render(sample_anatomy(dice_of(who)), lesions, image_size=image_size, view=view, rng=rng)
        x, y = number % columns * image_size, number // columns * cell
        sheet.paste(Image.fromarray(image), (x, y))
        pen.text((x + 3, y + image_size + 1), _label(findings), fill=255)
    return np.asarray(sheet, dtype=np.uint8)


def _label(findings: Sequence[Finding]) -> str:
    if not findings:
        return "normal"
    name = findings[0].observation.replace("_", " ")
    details = (findings[0].severity, findings[0].side, findings[0].location)
    return name + "\n" + ", ".join(detail.replace("_", " ") for detail in details if detail)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sheet", type=Path, required=True, help="PNG file to write the contact sheet to")
    parser.add_argument("--size", type=int, default=160, help="pixels per phantom")
    arguments = parser.parse_args()
    arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(contact_sheet(image_size=arguments.size))
    sheet.quantize(32).save(arguments.sheet, optimize=True)


if __name__ == "__main__":
    main()
