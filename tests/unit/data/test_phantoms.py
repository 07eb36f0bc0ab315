"""Chest phantoms: reproducible, physically sided, and readable back to exactly their truth."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radflow.config import DataConfig, PhantomsConfig
from radflow.data.phantoms.chest import (
    ChestCase,
    ChestPhantom,
    contact_sheet,
    every_finding,
    make_chest_case,
    make_chest_phantom,
)
from radflow.data.phantoms.chest_anatomy import Anatomy, sample_anatomy
from radflow.data.phantoms.chest_bodies import Pose, ViewName, make_grid
from radflow.data.phantoms.chest_image import attenuation, display_window, noise_sigma
from radflow.data.phantoms.chest_text import Mention, read_findings, stated, write_findings
from radflow.data.phantoms.chest_truth import CRITICAL, SEVERITIES, SIDES, WEIGHTS, Lesion
from radflow.data.phantoms.chest_tubes import Tube, add_tubes
from radflow.data.phantoms.dice import Dice, streams
from radflow.data.sources import SourceStudy
from radflow.data.sources.phantoms import read_phantoms
from radflow.errors import RadflowError
from radflow.records import Finding, LeftOut

COUNT = 5000


@cache
def cases() -> tuple[ChestCase, ...]:
    return tuple(make_chest_case(index, seed=11) for index in range(COUNT))


def truth_of(case: ChestCase) -> tuple[Finding, ...]:
    return tuple(lesion.finding for lesion in case.lesions)


def mention(finding: Finding) -> Mention:
    return Mention(finding.observation, "present", finding.side, finding.severity, finding.location)


def anatomy(number: int) -> Anatomy:
    return sample_anatomy(Dice(np.random.default_rng(number)))


def difference(
    finding: Finding, *, patient: int, size: int = 64, jitter: float = 0.5
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, W) attenuation with the finding minus without, and the noise's standard deviation."""
    who = anatomy(patient)
    without = attenuation(who, (), image_size=size, view="frontal")
    lesion = Lesion(finding, (jitter,) * 8)
    with_it = attenuation(who, (lesion,), image_size=size, view="frontal")
    low, high = display_window(who, view="frontal")
    shown = np.clip(with_it, low, high) - np.clip(without, low, high)
    return shown, noise_sigma(without, who, pixel_cm2=(36 / size) ** 2)


def same(first: ChestPhantom, second: ChestPhantom) -> bool:
    words = (first.findings, first.impression, first.indication, first.truth, first.is_critical)
    return words == (second.findings, second.impression, second.indication, second.truth, second.is_critical)


def test_a_phantom_depends_on_seed_and_index_alone() -> None:
    forward = [make_chest_phantom(i, seed=3) for i in range(6)]
    backward = [make_chest_phantom(i, seed=3) for i in reversed(range(6))][::-1]
    for first, second in zip(forward, backward, strict=True):
        assert same(first, second)
        assert first.images[0].tobytes() == second.images[0].tobytes()
    assert forward[0].study_id == "phantom-3-000000"
    assert make_chest_phantom(0, seed=4).images[0].tobytes() != forward[0].images[0].tobytes()


def test_another_process_draws_the_same_bytes() -> None:
    program = (
        "import hashlib; from radflow.data.phantoms.chest import make_chest_phantom as f; p = f(5, seed=9);"
        "print(hashlib.sha256(p.images[0].tobytes() + repr((p.findings, p.truth)).encode()).hexdigest())"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1


@given(key=st.lists(st.integers(0, 2**80), min_size=1, max_size=3))
def test_random_streams_are_those_that_numpy_would_spawn(key: list[int]) -> None:
    spawned = np.random.SeedSequence(key).spawn(4)
    for ours, theirs in zip(streams(4, *key), spawned, strict=True):
        assert ours.generate_state(4).tolist() == theirs.generate_state(4).tolist()


def test_a_tube_seen_end_on_is_a_disc() -> None:
    grid = make_grid(64, view="lateral", pose=Pose())
    path = np.zeros((64, 64), dtype=np.float32)
    add_tubes(path, grid, [Tube((-3.0, 1.0, 2.0), (5.0, 1.0, 2.0), 3.0, 3.0)])
    distance = np.hypot(grid.u - 2.0, grid.y - 1.0)
    assert path[distance < 2.5].min() > 2.0
    assert path[distance > 3.5].max() == 0.0


@pytest.mark.parametrize("view", ["frontal", "lateral"])
def test_a_window_holds_every_pixel_of_its_circles(view: ViewName) -> None:
    grid = make_grid(48, view=view, pose=Pose(0.6, -0.4, 0.05, 0.9))
    rows, columns = grid.window([(4.0, -3.0, 2.0), (-1.0, 6.0, 0.5)])
    inside = (np.hypot(grid.u - 4, grid.y + 3) < 2) | (np.hypot(grid.u + 1, grid.y - 6) < 0.5)
    part = grid.part(rows, columns)
    assert inside.any()
    assert inside[rows, columns].sum() == inside.sum()
    assert inside[rows, columns].size < 0.25 * inside.size
    assert part.window([(4.0, -3.0, 2.0), (-1.0, 6.0, 0.5)]) == (
        slice(0, rows.stop - rows.start),
        slice(0, columns.stop - columns.start),
    )


@pytest.mark.parametrize("size", [32, 128])
def test_truth_and_text_do_not_depend_on_the_image_size(size: int) -> None:
    for index in range(20):
        other = make_chest_phantom(index, seed=1, image_size=size, lateral=True)
        assert same(make_chest_phantom(index, seed=1), other)
        assert other.views == ("frontal", "lateral")
        assert [image.shape for image in other.images] == [(size, size)] * 2
        assert all(image.dtype == np.uint8 for image in other.images)


def test_the_small_image_is_the_large_one_seen_from_afar() -> None:
    who = anatomy(1)
    large = attenuation(who, (), image_size=256, view="frontal").reshape(64, 4, 64, 4).mean(axis=(1, 3))
    small = attenuation(who, (), image_size=64, view="frontal")
    assert np.abs(large - small).mean() < 0.04


def test_shares_of_normal_missing_and_flawed_reports() -> None:
    abnormal = [case for case in cases() if case.lesions]
    assert 0.35 <= 1 - len(abnormal) / COUNT <= 0.45
    missing = Counter((c.report.findings is None, c.report.impression is None) for c in cases())
    assert missing[True, True] == 0
    assert 0.01 <= missing[True, False] / COUNT <= 0.05
    assert 0.01 <= missing[False, True] / COUNT <= 0.04
    told = [case for case in abnormal if case.report.impression is not None]
    flawed = sum(bool(case.report.uncertain or case.report.omitted) for case in told)
    assert 0.10 <= flawed / len(told) <= 0.15
    assert max(len(case.lesions) for case in abnormal) <= 3
    seen = Counter(finding.observation for case in cases() for finding in truth_of(case))
    assert set(seen) == set(WEIGHTS)
    assert min(seen.values()) > 0.04 * COUNT


def test_findings_read_back_as_exactly_the_truth() -> None:
    for case in cases():
        if case.report.findings is None:
            continue
        read = read_findings(case.report.findings)
        truth = truth_of(case)
        assert stated(read) == frozenset(map(mention, truth))
        assert not stated(read, "uncertain")
        for denial in stated(read, "absent"):
            denied = [f for f in truth if f.observation == denial.observation]
            assert all(denial.side is not None and f.side not in (denial.side, "bilateral") for f in denied)


def test_impressions_read_back_as_exactly_their_record() -> None:
    for case in cases():
        report = case.report
        if report.impression is None:
            continue
        read = read_findings(report.impression)
        assert stated(read) == report.present
        assert stated(read, "uncertain") == report.uncertain
        said = {m.observation for m in report.present | report.uncertain}
        assert said | report.omitted == {finding.observation for finding in truth_of(case)}
        assert not said & report.omitted
        assert not {m.observation for m in stated(read, "absent")} & {f.observation for f in truth_of(case)}


def test_is_critical_follows_its_rule() -> None:
    for case in cases():
        for finding in truth_of(case):
            critical = CRITICAL.get(finding.observation, frozenset())
            assert finding.is_critical == (finding.severity in critical or finding.location in critical)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "No pneumothorax or pleural effusion.",
            {("pneumothorax", "absent"), ("pleural_effusion", "absent")},
        ),
        (
            "NO PNEUMOTHORAX BUT LARGE LEFT EFFUSION",
            {("pneumothorax", "absent"), ("pleural_effusion", "present")},
        ),
        ("Cardiomegaly without edema", {("cardiomegaly", "present"), ("edema", "absent")}),
        ("Right lower lobe pneumonia cannot be excluded.", {("consolidation", "uncertain")}),
        ("Cardiomegaly with possible mild edema", {("cardiomegaly", "present"), ("edema", "uncertain")}),
        ("The mediastinum is shifted to the left.", set()),
        ("The lungs are", set()),
    ],
)
def test_reader_assertions(text: str, expected: set[tuple[str, str]]) -> None:
    assert {(m.observation, m.assertion) for m in read_findings(text)} == expected


def test_attributes_stay_with_their_finding() -> None:
    read = read_findings("Small left pleural effusion and dense consolidation in the right upper lobe.")
    assert read == {
        Mention("pleural_effusion", "present", "left", "small"),
        Mention("consolidation", "present", "right", "dense", "upper_zone"),
    }
    assert read_findings("ET tube in the right main bronchus") == {
        Mention("endotracheal_tube", "present", location="right_main_bronchus")
    }


def test_reader_survives_any_text() -> None:
    texts = [
        "",
        "   ",
        "....",
        "no no no no",
        "left left",
        "1. 2. 3.",
        "effusion " * 500,
        "\x00\ud800",
        "no",
        None,
    ]
    for text in texts:
        read_findings(text)
    for case in cases()[:150]:
        text = case.report.findings or case.report.impression or ""
        assert read_findings(text.upper()) == read_findings(text) == read_findings(f"{text} {text}")
        for cut in range(0, len(text), 7):
            assert read_findings(text[:cut]) is not None
        words = text.split()
        np.random.default_rng(len(text)).shuffle(words)
        read_findings(" ".join(words))


SIDED = [name for name, sides in SIDES.items() if "left" in sides and name != "central_line"]
"""A central line's tip lies in the vena cava, whichever side it enters."""


@pytest.mark.parametrize("name", SIDED)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_finding_shows_on_its_own_side(name: str, side: str) -> None:
    template = next(c[0] for c in every_finding() if c and c[0].observation == name)
    finding = template.model_copy(update={"side": side})
    for patient in range(5):
        change = np.abs(difference(finding, patient=patient)[0])
        image_half = {"right": change[:, :32], "left": change[:, 32:]}
        other = {"right": "left", "left": "right"}[side]
        assert image_half[side].sum() > 4 * image_half[other].sum()


@pytest.mark.parametrize("name", ["pleural_effusion", "consolidation", "edema", "nodule", "pacemaker"])
def test_dense_findings_whiten(name: str) -> None:
    finding = next(c[0] for c in every_finding() if c and c[0].observation == name)
    change, _ = difference(finding, patient=2)
    assert change.max() > 0.15
    assert change.min() > -0.05


def test_effusion_whitens_the_base_and_pneumothorax_darkens_the_wall() -> None:
    fluid, _ = difference(Finding(observation="pleural_effusion", side="right", severity="small"), patient=2)
    rows, columns = np.nonzero(fluid > 0.5 * fluid.max())
    assert rows.mean() > 40
    assert columns.mean() < 24
    gas, _ = difference(Finding(observation="pneumothorax", side="left", severity="moderate"), patient=2)
    _, columns = np.nonzero(gas < 0.5 * gas.min())
    assert gas.min() < -0.2
    assert columns.mean() > 42


@pytest.mark.parametrize("name", [n for n in SEVERITIES if n not in {"rib_fracture"}])
def test_a_larger_severity_changes_the_image_more(name: str) -> None:
    template = next(c[0] for c in every_finding() if c and c[0].observation == name)
    for patient in range(4):
        sums = [
            float(np.abs(difference(template.model_copy(update={"severity": s}), patient=patient)[0]).sum())
            for s in SEVERITIES[name]
        ]
        assert sums == sorted(sums)


@pytest.mark.parametrize(
    "case", every_finding()[1:], ids=lambda case: f"{case[0].observation}-{case[0].severity}"
)
def test_every_finding_stands_out_of_the_noise_at_64_pixels(case: tuple[Finding, ...]) -> None:
    """The mean absolute difference over a finding's region is at least 6 sigma, whoever has it."""
    for patient in range(6):
        for jitter in (0.1, 0.9):
            change, sigma = difference(case[0], patient=patient, jitter=jitter)
            change = np.abs(change)
            region = change > 0.25 * change.max()
            assert region.sum() >= 4
            assert (change[region] / sigma[region]).mean() >= 6


def test_observations_restrict_what_is_drawn() -> None:
    allowed = ("pneumothorax", "nodule")
    names = {
        f.observation
        for index in range(200)
        for f in truth_of(make_chest_case(index, seed=0, observations=allowed))
    }
    assert names == set(allowed)
    assert not make_chest_case(0, seed=0, observations=()).lesions
    with pytest.raises(RadflowError, match="Unknown phantom observations: gout"):
        make_chest_case(0, seed=0, observations=("gout",))


def test_contact_sheet_shows_every_finding() -> None:
    sheet = contact_sheet(image_size=32)
    assert sheet.shape[1] == 7 * 32
    assert sheet.shape[0] >= len(every_finding()) // 7 * 32
    text = write_findings((), Dice(np.random.default_rng(0)))
    assert not stated(read_findings(text))


def test_phantoms_without_a_required_section_are_left_out() -> None:
    counts = PhantomsConfig(train=150, validation=10, test=10)
    items = list(read_phantoms(DataConfig(phantoms=counts, require="both"), 0))
    studies = [item for item in items if isinstance(item, SourceStudy)]
    assert len(items) == 170
    assert all(study.report.findings and study.report.impression for study in studies)
    reasons = {item.reason for item in items if isinstance(item, LeftOut)}
    assert reasons
    assert reasons <= {"no_findings", "no_impression"}
    everything = list(read_phantoms(DataConfig(phantoms=counts), 0))
    assert all(isinstance(item, SourceStudy) for item in everything)
    assert [item.study_id for item in everything] == [item.study_id for item in items]
