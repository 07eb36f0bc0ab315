"""Carotid phantoms: reproducible, physically right, graded by the consensus, and sided by their marks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from radflow.config import DataConfig, PhantomsConfig
from radflow.data.phantoms.carotid import CarotidCase, make_carotid_case, make_carotid_phantom
from radflow.data.phantoms.carotid_doppler import (
    BASELINE,
    pulse,
    render_doppler,
    scale_of,
    velocities_of_rows,
)
from radflow.data.phantoms.carotid_image import (
    Anatomy,
    echo_db,
    envelope_db,
    plaque_middle,
    render_bmode,
    sample_anatomy,
    vessel_of,
)
from radflow.data.phantoms.carotid_truth import (
    CRITICAL,
    DISTAL_LUMEN_CM,
    OBSERVATIONS,
    CarotidSide,
    Velocities,
)
from radflow.data.phantoms.dice import Dice
from radflow.data.sources import SourceStudy
from radflow.data.sources.phantoms import read_phantoms

COUNT = 2000
GRADES = ("none", "under 50", "50-69", "70-99", "near occlusion", "occlusion")


@cache
def cases() -> tuple[CarotidCase, ...]:
    return tuple(make_carotid_case(index, seed=11) for index in range(COUNT))


def every_side() -> list[CarotidSide]:
    return [side for case in cases() for side in case.sides]


def plaque(**changes: object) -> CarotidSide:
    """A left side with 60 % stenosis in the ICA."""
    side = CarotidSide(
        side="left",
        kind="soft",
        surface="smooth",
        place="proximal internal carotid artery",
        grade="50-69",
        stenosis=60,
        velocities=Velocities(180, 60, 62, 13),
        has_thrombus=False,
        vertebral="antegrade",
        imt_mm=0.7,
        has_doppler=True,
    )
    return replace(side, **changes)  # type: ignore[arg-type]


def anatomy(number: int, *, far: float = 1.0) -> Anatomy:
    return replace(sample_anatomy(Dice(np.random.default_rng(number))), far=far)


def panel(side: CarotidSide, *, size: int = 128, seed: int = 0) -> NDArray[np.uint8]:
    dice = Dice(np.random.default_rng(seed))
    return render_doppler(side, image_size=size, dice=dice, rng=np.random.default_rng(seed))


def test_a_phantom_depends_on_seed_and_index_alone() -> None:
    first, again = make_carotid_phantom(5, seed=3), make_carotid_phantom(5, seed=3)
    assert [image.tobytes() for image in first.images] == [image.tobytes() for image in again.images]
    assert (first.findings, first.sides, first.truth) == (again.findings, again.sides, again.truth)
    assert make_carotid_phantom(5, seed=4).images[0].tobytes() != first.images[0].tobytes()


def test_truth_and_text_do_not_depend_on_the_image_size() -> None:
    for index in range(10):
        small = make_carotid_phantom(index, seed=1)
        large = make_carotid_phantom(index, seed=1, image_size=96)
        assert (small.findings, small.impression, small.truth) == (
            large.findings,
            large.impression,
            large.truth,
        )
        assert {image.shape for image in large.images} == {(96, 96)}


def test_a_picture_is_the_same_whichever_else_is_drawn() -> None:
    phantom = make_carotid_phantom(2, seed=0)
    case = make_carotid_case(2, seed=0)
    for view, image in zip(reversed(phantom.views), reversed(phantom.images), strict=True):
        assert case.render(view, image_size=64).tobytes() == image.tobytes()


def test_a_study_has_both_sides_and_the_panels_that_were_recorded() -> None:
    counts = {len(case.views) for case in cases()}
    assert counts == {2, 3, 4}
    for case in cases():
        expected = [
            f"{side.side} {mode}"
            for side in case.sides
            for mode in ("b-mode", "doppler")[: 1 + side.has_doppler]
        ]
        assert list(case.views) == expected
    everything = [make_carotid_case(index, seed=0, doppler=1.0) for index in range(50)]
    assert all(len(case.views) == 4 for case in everything)


def test_velocities_follow_the_consensus() -> None:
    limits = {"none": (0, 125), "under 50": (0, 125), "50-69": (125, 231), "70-99": (231, 1000)}
    ratios = {"none": (0.0, 2.0), "under 50": (0.0, 2.0), "50-69": (2.0, 4.05), "70-99": (4.05, 20.0)}
    ends = {"none": (0, 40), "under 50": (0, 40), "50-69": (40, 101), "70-99": (101, 1000)}
    for side in every_side():
        if side.velocities is None:
            assert side.grade == "occlusion"
        elif side.grade != "near occlusion":
            for value, bounds in (
                (side.velocities.psv, limits),
                (side.velocities.ratio, ratios),
                (side.velocities.edv, ends),
            ):
                low, high = bounds[side.grade]
                assert low <= value < high


def test_grade_and_percentage_agree_and_everything_occurs() -> None:
    bands = {"none": (0, 0), "under 50": (1, 49), "50-69": (50, 69), "70-99": (70, 94)}
    sides = every_side()
    for side in sides:
        low, high = bands.get(side.grade, (95, 100))
        assert low <= side.stenosis <= high
        assert (side.kind is None) == (side.grade in ("none", "occlusion"))
    assert {side.grade for side in sides} == set(GRADES)
    found = [finding for case in cases() for finding in case.truth]
    assert {finding.observation for finding in found} == set(OBSERVATIONS)
    assert all(finding.is_critical == (finding.observation in CRITICAL) for finding in found)


def test_shares_of_normal_missing_and_flawed_reports() -> None:
    normal = sum(not case.truth for case in cases())
    assert 0.28 < normal / COUNT < 0.38
    reports = [case.report for case in cases()]
    assert not any(report.findings is None and report.impression is None for report in reports)
    assert 0.015 < sum(report.findings is None for report in reports) / COUNT < 0.045
    assert 0.008 < sum(report.impression is None for report in reports) / COUNT < 0.035
    told = [case for case in cases() if case.truth and case.report.impression]
    assert 0.10 < sum(case.report.is_flawed for case in told) / len(told) < 0.15


def test_the_narrowest_lumen_is_the_percentage_of_the_truth() -> None:
    for stenosis in (20, 60, 90):
        for place in ("carotid bulb", "proximal internal carotid artery"):
            for surface in ("smooth", "irregular", "ulcerated"):
                for number in range(3):
                    who = anatomy(number, far=0.7)
                    side = plaque(stenosis=stenosis, place=place, surface=surface)
                    lumen = vessel_of(side, who, image_size=64).lumen
                    residual = lumen.min() / (who.scale * DISTAL_LUMEN_CM)
                    assert residual == pytest.approx(1 - stenosis / 100, abs=0.02)


def test_speckle_is_rayleigh_distributed_where_tissue_is_uniform() -> None:
    rng = np.random.default_rng(0)
    flat = np.zeros((256, 256), dtype=np.float32)
    envelope = 10 ** (envelope_db(flat, rng=rng) / 20)
    assert envelope.mean() / envelope.std() == pytest.approx(1.913, abs=0.08)  # sqrt(pi / (4 - pi))
    assert np.mean(envelope**2) == pytest.approx(1.0, abs=0.08)


def test_calcium_casts_a_shadow_and_soft_plaque_does_not() -> None:
    for number in range(4):
        who = anatomy(number)
        below = {}
        for kind in ("calcified", "soft"):
            side = plaque(kind=kind)
            echo = echo_db(side, who, image_size=64)
            vessel = vessel_of(side, who, image_size=64)
            behind = np.abs(vessel.s - plaque_middle(side)) < 0.1
            beside = np.abs(vessel.s - 0.7) < 0.2
            deep = slice(52, 64)
            below[kind] = echo[deep][:, beside].mean() - echo[deep][:, behind].mean()
        assert below["calcified"] > 15
        assert below["soft"] < 4


def test_kinds_differ_in_their_echoes_and_an_occlusion_fills_the_lumen() -> None:
    who = anatomy(1)

    def inside(side: CarotidSide) -> float:
        vessel = vessel_of(plaque(), who, image_size=96)
        depth = (np.arange(96) + 0.5) * 3 / 96
        column = int(np.argmin(np.abs(vessel.s - plaque_middle(plaque()))))
        rows = (depth > vessel.far_plaque[column] + 0.05) & (depth < vessel.far[column] - 0.05)
        return float(echo_db(side, who, image_size=96)[rows, column].mean())

    assert inside(plaque(kind="calcified")) > inside(plaque(kind="soft")) + 10
    empty = plaque(kind=None, surface=None, place=None, grade="none", stenosis=0)
    assert inside(plaque(kind="soft")) > inside(empty) + 8
    assert inside(replace(empty, grade="occlusion", stenosis=100, velocities=None)) > inside(empty) + 15


def test_a_thick_wall_is_thick() -> None:
    who = anatomy(2)
    thin, thick = (echo_db(plaque(imt_mm=mm), who, image_size=128) for mm in (0.6, 1.4))
    vessel = vessel_of(plaque(), who, image_size=128)
    column = int(np.argmin(np.abs(vessel.s - 0.6)))
    depth = (np.arange(128) + 0.5) * 3 / 128
    brightest = [
        float(depth[np.argmax(np.where(depth > vessel.far[column] + 0.04, echo[:, column], -99))])
        for echo in (thin, thick)
    ]
    assert brightest[1] - brightest[0] == pytest.approx(0.08, abs=0.03)


@pytest.mark.parametrize("grade", ["none", "50-69", "70-99"])
def test_the_peak_of_the_panel_is_the_peak_velocity_on_its_scale(grade: str) -> None:
    sides = [side for side in every_side() if side.grade == grade and side.velocities is not None][:10]
    for number, side in enumerate(sides):
        assert side.velocities is not None
        image = panel(side, seed=number)
        scale = scale_of(side.velocities)
        strip = image[: int(BASELINE * 128) - 2, 44:84].astype(float)
        bright = (strip > 110).sum(axis=1) >= 2
        highest = float(velocities_of_rows(128, scale)[int(np.argmax(bright)), 0])
        cell = scale / (BASELINE * 128)
        assert highest == pytest.approx(side.velocities.psv, abs=3 * cell)


def test_marks_of_the_scale_stand_every_fifty_centimetres_a_second() -> None:
    for psv, scale in ((90, 120), (200, 240), (400, 500)):
        side = plaque(velocities=Velocities(psv, 30, 60, 12))
        image = panel(side)
        rows = np.flatnonzero((image[: int(BASELINE * 128) - 2, -4:] == 255).all(axis=1))
        assert len(rows) == scale // 50
        steps = np.diff(rows) * scale / (BASELINE * 128)
        assert np.allclose(steps, 50, atol=scale / (BASELINE * 128))


def test_flow_of_the_vertebral_artery_has_its_direction() -> None:
    above, below = slice(40, 94), slice(104, 122)
    forward, backward = (panel(plaque(vertebral=flow))[:, 90:120] for flow in ("antegrade", "retrograde"))
    assert (forward[above] > 110).mean() > 5 * (backward[above] > 110).mean()
    assert (backward[below] > 110).mean() > 5 * (forward[below] > 110).mean()


def test_an_occluded_artery_shows_no_flow() -> None:
    occluded = plaque(kind=None, surface=None, place=None, grade="occlusion", stenosis=100, velocities=None)
    strip = panel(occluded)[:98, 46:82]
    assert (strip > 110).mean() < 0.005


def test_the_heartbeat_has_one_peak_and_ends_in_diastole() -> None:
    time = np.linspace(0, 1, 500, endpoint=False, dtype=np.float32)
    course = pulse(time)
    assert course.max() == pytest.approx(1.0)
    assert 0.1 < time[int(np.argmax(course))] < 0.2
    assert course[0] == 0
    assert course[-1] < 0.02


def test_only_the_mark_tells_the_side_of_a_picture() -> None:
    who = anatomy(3)
    pictures = [
        render_bmode(plaque(side=side), who, image_size=64, rng=np.random.default_rng(1))
        for side in ("left", "right")
    ]
    differing = np.argwhere(pictures[0] != pictures[1])
    assert len(differing)
    assert differing.max(axis=0).tolist() <= [13, 9]


def test_a_carotid_study_is_one_study_of_all_its_pictures_with_its_truth_table() -> None:
    settings = PhantomsConfig(modality="carotid", train=12, validation=2, test=2, size=32)
    data = DataConfig(phantoms=settings, max_images=4)
    rows = [row for row in read_phantoms(data, 4) if isinstance(row, SourceStudy)]
    assert len(rows) == 16
    for index, row in enumerate(rows):
        phantom = make_carotid_phantom(index, seed=4, image_size=32)
        drawn = [image() for image in row.images if callable(image)]
        assert [image.tobytes() for image in drawn] == [image.tobytes() for image in phantom.images]
        assert row.truth == phantom.truth
        assert row.metadata["views"] == list(phantom.views)
        assert row.metadata["sides"] == [side.row() for side in phantom.sides]
