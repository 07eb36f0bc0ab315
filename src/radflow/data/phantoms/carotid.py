"""Carotid duplex phantoms: B-mode and Doppler pictures of both sides with report and truth table.

    phantom = make_carotid_phantom(0, seed=7)
    phantom.images[0], phantom.findings, phantom.sides

A study is two to four pictures: right and left B-mode, each followed by its Doppler panel where one was
recorded. A phantom depends on ``(seed, index)`` alone; its truth and text don't depend on the image size.
Not for diagnosis: the pictures follow physics, not patients.

Usage:
    python -m radflow.data.phantoms.carotid --sheet docs/images/carotid_sheet.png
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from radflow.data.phantoms.carotid_doppler import render_doppler
from radflow.data.phantoms.carotid_image import render_bmode, sample_anatomy
from radflow.data.phantoms.carotid_text import CarotidReport, write_indication, write_report
from radflow.data.phantoms.carotid_truth import CarotidSide, sample_sides, truth_of
from radflow.data.phantoms.dice import dice_of, streams
from radflow.records import Finding

SCHEME = 2
"""Kind and version of the generator; part of the seed, changed when the same index would give another
phantom."""
DOPPLER_SHARE = 0.9
"""Share of sides with a Doppler panel, where nothing else is said."""
WORDS, PICTURES = 2, 4
"""Streams before those of the pictures, and pictures of a study at most."""


@dataclass(frozen=True, slots=True)
class CarotidCase:
    """Everything of a phantom but its pixels.

    Attributes:
        sides: right and left: the truth table.
        views: what each picture shows: "right b-mode", "right doppler", "left b-mode", "left doppler".
    """

    study_id: str
    sides: tuple[CarotidSide, CarotidSide]
    report: CarotidReport
    indication: str
    pictures: tuple[np.random.SeedSequence, ...]

    @property
    def truth(self) -> tuple[Finding, ...]:
        return truth_of(self.sides)

    @property
    def views(self) -> tuple[str, ...]:
        return tuple(
            f"{side.side} {mode}"
            for side in self.sides
            for mode in (("b-mode", "doppler") if side.has_doppler else ("b-mode",))
        )

    def render(self, view: str, *, image_size: int) -> NDArray[np.uint8]:
        """One picture, (image_size, image_size) greyscale; the same bytes whichever else is drawn."""
        name, mode = view.split()
        number = 0 if name == "right" else 1
        patient, noise = self.pictures[number], self.pictures[number + 2]
        if mode == "doppler":
            patient, noise = noise.spawn(2)
            rng = np.random.Generator(np.random.PCG64(noise))
            return render_doppler(self.sides[number], image_size=image_size, dice=dice_of(patient), rng=rng)
        rng = np.random.Generator(np.random.PCG64(noise))
        anatomy = sample_anatomy(dice_of(patient))
        return render_bmode(self.sides[number], anatomy, image_size=image_size, rng=rng)


@dataclass(frozen=True, slots=True)
class CarotidPhantom:
    """One phantom study.

    Attributes:
        study_id: unique per (seed, index).
        images: one greyscale array (H, W) per view.
        views: see `CarotidCase`.
        sides: the truth table, right and left.
        findings, impression: report sections; at most one of them is ``None``.
        indication: why the examination was asked for.
        truth: every finding, whether or not the report says it, in the ontology's names.
        is_critical: whether any finding needs a call.
    """

    study_id: str
    images: tuple[NDArray[np.uint8], ...]
    views: tuple[str, ...]
    sides: tuple[CarotidSide, CarotidSide]
    findings: str | None
    impression: str | None
    indication: str
    truth: tuple[Finding, ...]
    is_critical: bool


def make_carotid_case(index: int, *, seed: int, doppler: float = DOPPLER_SHARE) -> CarotidCase:
    """The patient, the disease and the report of a phantom, from independent random streams.

    Args:
        index: 0 or more.
        seed: 0 or more; another seed is another data set.
        doppler: share of sides with a Doppler panel, in [0, 1].
    """
    what, words, *pictures = streams(WORDS + PICTURES, SCHEME, seed, index)
    sides = sample_sides(dice_of(what), doppler=doppler)
    dice = dice_of(words)
    report = write_report(sides, dice)
    indication = write_indication(sides, dice)
    return CarotidCase(f"carotid-{seed}-{index:06d}", sides, report, indication, tuple(pictures))


def make_carotid_phantom(
    index: int, *, seed: int, image_size: int = 64, doppler: float = DOPPLER_SHARE
) -> CarotidPhantom:
    """Draw phantom number ``index`` of a seed with all of its pictures; see `make_carotid_case`.

    Args:
        image_size: pixels per side; a B-mode picture is 3 cm wide and deep at every size.
    """
    case = make_carotid_case(index, seed=seed, doppler=doppler)
    return CarotidPhantom(
        study_id=case.study_id,
        images=tuple(case.render(view, image_size=image_size) for view in case.views),
        views=case.views,
        sides=case.sides,
        findings=case.report.findings,
        impression=case.report.impression,
        indication=case.indication,
        truth=case.truth,
        is_critical=any(finding.is_critical for finding in case.truth),
    )


def contact_sheet(*, seed: int = 0, image_size: int = 128, columns: int = 3) -> NDArray[np.uint8]:
    """A labelled grid: one side with its B-mode picture and its Doppler panel per kind of disease."""
    sides = list(every_kind(seed))
    cell, width = image_size + 26, 2 * image_size + 8
    sheet = Image.new("L", (columns * width, -(-len(sides) // columns) * cell))
    pen = ImageDraw.Draw(sheet)
    for place, (side, case) in enumerate(sides):
        x, y = place % columns * width, place // columns * cell
        for shift, mode in enumerate(("b-mode", "doppler")):
            image = case.render(f"{side.side} {mode}", image_size=image_size)
            sheet.paste(Image.fromarray(image), (x + shift * image_size, y))
        pen.text((x + 3, y + image_size + 1), _label(side), fill=255)
    return np.asarray(sheet, dtype=np.uint8)


def every_kind(seed: int) -> list[tuple[CarotidSide, CarotidCase]]:
    """The first side of a seed for each grade, kind and surface of plaque, and other disease."""
    wanted = {
        "grade": ("none", "under 50", "50-69", "70-99", "near occlusion", "occlusion"),
        "kind": ("calcified", "soft", "mixed"),
        "surface": ("irregular", "ulcerated"),
        "has_thrombus": (True,),
        "vertebral": ("retrograde", "bidirectional"),
        "has_thick_wall": (True,),
    }
    missing = {(name, value) for name, values in wanted.items() for value in values}
    found = []
    for index in range(10_000):
        case = make_carotid_case(index, seed=seed)
        for side in case.sides:
            has = {(name, getattr(side, name)) for name in wanted} & missing
            if has and side.has_doppler:
                missing -= has
                found.append((side, case))
        if not missing:
            break
    return found


def _label(side: CarotidSide) -> str:
    plaque = f"{side.kind}, {side.surface}" if side.kind else "no plaque"
    first = f"{side.side}: {plaque}, {side.grade}"
    more = [f"{side.stenosis}%"] if side.kind else []
    more += ["thrombus"] if side.has_thrombus else []
    more += [f"IMT {side.imt_mm}"] if side.has_thick_wall else []
    more += [side.vertebral] if side.vertebral != "antegrade" else []
    more += [f"PSV {side.velocities.psv}"] if side.velocities else ["no flow"]
    return first + "\n" + ", ".join(more)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sheet", type=Path, required=True, help="PNG file to write the contact sheet to")
    parser.add_argument("--size", type=int, default=128, help="pixels per picture")
    arguments = parser.parse_args()
    arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(contact_sheet(image_size=arguments.size))
    sheet.quantize(32).save(arguments.sheet, optimize=True)


if __name__ == "__main__":
    main()
