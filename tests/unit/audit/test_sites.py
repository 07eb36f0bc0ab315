"""Each injector does what its kind says, and nothing else, on reports of our own."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.rewards.own_reports import OWN_REPORTS

from radflow.audit import sites
from radflow.audit.bank import Bank, load_bank
from radflow.audit.texts import Bodies, apply, bodies_of, sentences_of, written
from radflow.audit.variants import CONTROLS, ERRORS, KINDS, MOST, Variant, variants_of
from radflow.data.phantoms.chest import make_chest_report
from radflow.data.sections import parse_report, report_from_fields
from radflow.records import Report

BANK = load_bank()
REPORTS = st.one_of(
    st.sampled_from([pair.report for pair in OWN_REPORTS]),
    st.integers(0, 200).map(
        lambda index: report_from_fields(
            findings=make_chest_report(index, seed=9).findings,
            impression=make_chest_report(index, seed=9).impression,
        )
    ),
)
SEEDS = st.integers(0, 20)


def bodies(findings: str, impression: str = "As above.") -> Bodies:
    return bodies_of(report_from_fields(findings=findings, impression=impression))


def made(kind: str, findings: str, impression: str = "As above.") -> list[str]:
    """The Findings and the Impression of each single change, in one line each."""
    own = bodies(findings, impression)
    found = KINDS[kind].make(BANK, own, Random(0), kind)
    return [variant.text.removeprefix("FINDINGS: ").replace("\nIMPRESSION: ", " / ") for variant in found]


def singles(finder: object, findings: str) -> set[str]:
    """The Findings after each site alone."""
    assert callable(finder)
    own = bodies(findings)
    return {apply(own, site.edits)["findings"] for site in finder(BANK, own, Random(0))}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("There is no pneumothorax.", "There is pneumothorax."),
        ("No pleural effusion.", "Pleural effusion."),
        ("There is no evidence of edema.", "There is edema."),
        ("The heart is not enlarged.", "The heart is enlarged."),
        ("The lungs are clear.", "The lungs are not clear."),
        ("Heart size is normal.", "Heart size is abnormal."),
        ("The mediastinum is within normal limits.", "The mediastinum is outside normal limits."),
        ("There is a small nodule.", "There is no small nodule."),
        ("Mild cardiomegaly.", "No mild cardiomegaly."),
        ("A fracture is seen.", "A fracture is not seen."),
    ],
)
def test_a_flip_says_the_opposite(before: str, after: str) -> None:
    assert singles(sites.negation_sites, before) == {after}


@pytest.mark.parametrize(
    "text",
    [
        "No significant change.",
        "No prior films for comparison.",
        "There may be pneumonia.",
        "Heart at the upper limits of normal.",
        "XXXX are normal.",
        "Two views were obtained.",
    ],
)
def test_what_has_no_plain_opposite_is_not_flipped(text: str) -> None:
    assert singles(sites.negation_sites, text) == set()


@pytest.mark.parametrize(
    ("finder", "before", "after"),
    [
        (sites.side_sites, "Small left effusion.", {"Small right effusion."}),
        (sites.side_sites, "Right-sided port.", {"Left-sided port."}),
        (sites.side_sites, "Left rib, left lung injury.", {"Right rib, right lung injury."}),
        (sites.side_sites, "Left and right effusions.", set()),
        (sites.side_sites, "No left effusion.", set()),
        (sites.side_sites, "Enlarged left atrium.", set()),
        (sites.side_sites, "Opacity in the right middle lobe.", set()),
        (sites.severity_sites, "Mild edema.", {"Severe edema."}),
        (sites.severity_sites, "The aorta is mildly tortuous.", {"The aorta is severely tortuous."}),
        (sites.severity_sites, "Tiny scar, huge mass.", {"Large scar, huge mass.", "Tiny scar, small mass."}),
        (sites.severity_sites, "Mild to moderate edema.", set()),
        (sites.severity_sites, "No large effusion.", set()),
        (sites.location_sites, "Nodule in the right upper lobe.", {"Nodule in the right lower lobe."}),
        (sites.location_sites, "Bibasilar atelectasis.", {"Biapical atelectasis."}),
        (sites.location_sites, "Opacity at the left base.", {"Opacity at the left apex."}),
        (sites.location_sites, "Dilated lower bowel.", set()),
        (sites.device_sites, "Port tip near cavoatrial junction.", {"Port tip in the azygos vein."}),
        (sites.device_sites, "Tube in good position.", {"Tube in an unsafe position."}),
        (sites.device_sites, "Contrast is in the SVC.", set()),
        (sites.temporal_sites, "Stable cardiomegaly.", {"New cardiomegaly."}),
        (sites.temporal_sites, "The effusion has improved.", {"The effusion has worsened."}),
        (sites.temporal_sites, "No interval change.", {"Marked interval worsening."}),
        (sites.temporal_sites, "No new effusion.", set()),
    ],
)  # fmt: skip
def test_a_swap_changes_its_words_only(finder: object, before: str, after: set[str]) -> None:
    assert singles(finder, before) == after


def test_an_omission_takes_a_finding_out_of_both_sections() -> None:
    texts = made(
        "omission",
        "Small left effusion. The heart is normal. A rib fracture is seen.",
        "Small effusion. No acute disease.",
    )
    assert set(texts[:1]) <= {
        "The heart is normal. A rib fracture is seen. / No acute disease.",
        "Small left effusion. The heart is normal. / Small effusion. No acute disease.",
    }
    assert texts[1] == "The heart is normal. / No acute disease."


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        ("Small effusion. The heart is normal.", "Small effusion."),  # the Impression would be gone
        ("Small effusion. No large effusion. Clear lungs.", "No acute disease."),  # denied beside
        ("No effusion. Clear lungs.", "No acute disease."),
        ("Effusion, edema, and a nodule. Clear bones.", "As above."),  # three in one sentence
    ],
)
def test_an_omission_leaves_out_what_it_can_name(findings: str, impression: str) -> None:
    assert made("omission", findings, impression) == []


def test_an_invention_names_what_nothing_else_names() -> None:
    own = bodies("Small effusion. No pneumothorax.", "Effusion.")
    found = sites.invention_sites(BANK, own, Random(1))
    assert len(found) >= 10
    assert {"effusion", "pneumothorax"}.isdisjoint(site.about for site in found)
    for site in found:
        changed = apply(own, site.edits)
        assert changed["impression"] == own["impression"]
        assert BANK.named(changed["findings"]) - BANK.named(own["findings"]) >= {site.about}


@pytest.mark.parametrize(
    ("findings", "added"),
    [
        ("No pleural effusion.", ["There is a pleural effusion."]),
        ("There is a rib fracture.", ["There is no fracture."]),
        ("There may be a fracture.", []),
        ("Small effusion without pneumothorax.", []),
        ("There is a nodule. No other nodule.", []),
    ],
)
def test_a_contradiction_is_said_in_the_impression(findings: str, added: list[str]) -> None:
    assert made("contradiction", findings) == [f"{findings} / As above. {text}" for text in added]


def test_what_the_impression_names_already_is_not_contradicted() -> None:
    assert made("contradiction", "No effusion.", "No effusion.") == []


def test_a_duplicate_stands_behind_its_sentence() -> None:
    texts = made("duplication", "Clear lungs. No effusion.", "Normal.")
    assert texts[-1] == "Clear lungs. Clear lungs. No effusion. No effusion. / Normal. Normal."


def test_a_truncation_cuts_the_end_off() -> None:
    texts = made("truncation", "One two three four five six.", "Seven eight nine ten.")
    assert texts == [
        "One two three four five six. / Seven eight",
        "One two three four five six.",
        "One two three four",
    ]


def test_an_order_keeps_sentences_and_what_leans_on_them() -> None:
    own = "Clear lungs. A nodule is seen. This is unchanged. No effusion."
    (text,) = made("order", own)
    assert text != f"{own} / As above."
    assert "A nodule is seen. This is unchanged." in text
    assert Counter(re.findall(r"\w+", text)) == Counter(re.findall(r"\w+", f"{own} As above"))


def test_numbered_sections_keep_their_order() -> None:
    assert made("order", "1. Clear lungs. 2. No effusion.") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("There is no effusion.", "No effusion is present."),
        ("Lungs show no evidence of edema.", "Lungs show no sign of edema."),
        ("Mild cardiomegaly.", "Slight cardiomegaly."),
        ("The heart size is within normal limits.", "The heart is of normal size."),
        ("Nodule in the right upper lobe.", "Nodule in the upper lobe of the right lung."),
    ],
)
def test_a_paraphrase_says_the_same(before: str, after: str) -> None:
    assert after in singles(sites.paraphrase_sites, before)


def test_a_harmless_change_that_changes_meaning_is_refused() -> None:
    """Whatever somebody writes into the bank, words that carry meaning are compared when it is used."""
    wrong = (
        ("no evidence of", "evidence of"),
        ("left", "right"),
        ("mild", "severe"),
        ("stable", "new"),
        ("upper", "lower"),
        ("effusion", "nodule"),
        ("3 mm", "3 cm nodule of 4 mm"),
    )
    bank = BANK.model_copy(update={"paraphrases": wrong})
    own = bodies("No evidence of effusion. Stable mild scarring in the left upper lobe. A 3 mm nodule.")
    assert sites.paraphrase_sites(bank, own, Random(0)) == []
    assert not sites.keeps_meaning(BANK, "There is no nodule.", "There is a nodule.")


def test_a_bank_whose_sentences_miss_their_words_is_refused() -> None:
    data = BANK.model_dump()
    data["findings"]["effusion"]["there"] = "There is a nodule."
    with pytest.raises(ValidationError, match="holds none of its words"):
        Bank.model_validate(data)


def variants(report: Report, seed: int) -> list[Variant]:
    return list(variants_of(report, BANK, seed=seed, study_id="x"))


@settings(max_examples=40, deadline=None)
@given(REPORTS, SEEDS)
def test_changes_explain_the_whole_difference(report: Report, seed: int) -> None:
    """The original with a variant's edits is the variant, and edits undone give the original."""
    own = bodies_of(report)
    for variant in variants(report, seed):
        assert variant.text != written(own)
        if variant.kind != "spelling":
            assert variant.text == written(apply(own, variant.changes))
        for edit in variant.changes:
            assert own[edit.section][edit.start : edit.end] == edit.old


@settings(max_examples=40, deadline=None)
@given(REPORTS, SEEDS)
def test_counts_rise_by_one_and_hold_what_came_before(report: Report, seed: int) -> None:
    found = variants(report, seed)
    for kind in (*ERRORS, "paraphrase"):
        mine = [variant for variant in found if variant.kind == kind]
        assert [variant.times for variant in mine] == list(range(1, len(mine) + 1))
        assert len(mine) <= MOST
        if kind != "truncation":
            assert all(set(one.changes) < set(two.changes) for one, two in pairwise(mine))


@settings(max_examples=40, deadline=None)
@given(REPORTS, SEEDS)
def test_only_truncation_costs_a_section(report: Report, seed: int) -> None:
    own = bodies_of(report)
    for variant in variants(report, seed):
        there = bodies_of(parse_report(variant.text)).keys()
        assert there == own.keys() or variant.kind == "truncation"


@settings(max_examples=40, deadline=None)
@given(REPORTS, SEEDS)
def test_harmless_changes_keep_all_guarded_words(report: Report, seed: int) -> None:
    own = bodies_of(report)
    whole = " ".join(own.values())
    for variant in variants(report, seed):
        if variant.kind in CONTROLS:
            text = " ".join(bodies_of(parse_report(variant.text)).values())
            assert BANK.guarded(text) == BANK.guarded(whole), variant.kind
            assert BANK.named(text) == BANK.named(whole), variant.kind


@settings(max_examples=40, deadline=None)
@given(REPORTS, SEEDS)
def test_a_side_swap_exchanges_sides_and_nothing_else(report: Report, seed: int) -> None:
    assume(any(variant.kind == "side_swap" for variant in variants(report, seed)))
    same = {"left": "side", "right": "side"}
    plain = [same.get(word, word) for word in re.findall(r"\w+", written(bodies_of(report)).lower())]
    for variant in variants(report, seed):
        if variant.kind == "side_swap":
            assert [same.get(word, word) for word in re.findall(r"\w+", variant.text.lower())] == plain


def test_variants_depend_on_report_id_and_seed_alone() -> None:
    report = OWN_REPORTS[2].report
    assert variants(report, 3) == variants(report, 3)
    assert variants(report, 3) != variants(report, 4)


def test_every_sentence_is_found_where_it_stands() -> None:
    own = bodies("1. Clear lungs.  2. No effusion", "Normal.")
    found = list(sentences_of(own))
    assert [sentence.text for sentence in found] == ["Clear lungs.", "No effusion.", "Normal."]
    assert all(own[one.section][one.start : one.end] == one.text for one in found)
