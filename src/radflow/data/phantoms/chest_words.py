"""The vocabulary of phantom reports: one set of tables from which reports are written and read back.

The writer draws from these tables and the reader is compiled from them, so a word added here is understood at
once. Templates use ``{sev}`` (adjective), ``{adv}`` (adverb), ``{side}`` and ``{where}`` (a location phrase).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Words = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How one observation is put into words.

    Attributes:
        terms: nouns (or verbs) that name it, each enough to recognise it; regular plurals are added.
        severity, adverbs: words of each severity.
        location: phrases of each location, without side.
        phrases: short noun phrases, used in impressions and in lists.
        sentences: full sentences of Findings sections.
        plural_phrases, plural_sentences: the same for both sides; empty where the singular does.
        default_side: side meant when none is said.
    """

    terms: tuple[str, ...]
    severity: Words = field(default_factory=dict)
    adverbs: Words = field(default_factory=dict)
    location: Words = field(default_factory=dict)
    phrases: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    plural_phrases: tuple[str, ...] = ()
    plural_sentences: tuple[str, ...] = ()
    default_side: str | None = None


SIDE_WORDS: Words = {
    "left": ("left", "left-sided"),
    "right": ("right", "right-sided"),
    "bilateral": ("bilateral",),
}
"""The first word of each is the writer's usual one; the reader also knows ``MORE_SIDE_WORDS``."""
MORE_SIDE_WORDS: Words = {"bilateral": ("bilaterally", "both", "bibasilar", "bibasal")}
LOBES: Words = {
    "upper_zone": ("upper lobe", "upper lung zone", "lung apex", "upper lung"),
    "middle_zone": ("mid lung", "mid lung zone", "midlung"),
    "lower_zone": ("lower lobe", "lower lung zone", "lung base", "lower lung"),
}
PLURAL_LOBES: Words = {
    "upper_zone": ("upper lobes", "upper lung zones", "lung apices"),
    "middle_zone": ("mid lungs", "mid lung zones"),
    "lower_zone": ("lower lobes", "lower lung zones", "lung bases"),
}
SMALL_TO_LARGE: Words = {
    "small": ("small", "trace", "tiny", "small volume"),
    "moderate": ("moderate", "moderate-sized", "medium-sized"),
    "large": ("large", "large volume", "massive"),
}

VOCABULARY: Mapping[str, Vocabulary] = {
    "cardiomegaly": Vocabulary(
        terms=("cardiomegaly", "cardiac enlargement", "enlarged", "enlargement"),
        severity={
            "mild": ("mild", "slight", "borderline to mild"),
            "moderate": ("moderate",),
            "severe": ("severe", "marked", "massive"),
        },
        adverbs={
            "mild": ("mildly", "slightly"),
            "moderate": ("moderately",),
            "severe": ("severely", "markedly", "massively"),
        },
        phrases=("{sev} cardiomegaly", "{sev} enlargement of the heart", "{sev} cardiac enlargement"),
        sentences=(
            "The heart is {adv} enlarged.",
            "The cardiac silhouette is {adv} enlarged.",
            "{sev} cardiomegaly.",
            "There is {sev} cardiomegaly.",
            "There is {sev} enlargement of the cardiac silhouette.",
            "Heart size is {adv} enlarged.",
            "{sev} cardiac enlargement is present.",
            "The cardiomediastinal silhouette shows {sev} enlargement.",
            "The transverse diameter of the heart is {adv} enlarged for the thorax.",
        ),
    ),
    "pleural_effusion": Vocabulary(
        terms=("pleural effusion", "effusion", "pleural fluid", "blunting"),
        severity=SMALL_TO_LARGE,
        phrases=("{sev} {side} pleural effusion", "{sev} {side} effusion"),
        sentences=(
            "There is a {sev} {side} pleural effusion.",
            "{sev} {side} pleural effusion.",
            "{sev} {side} pleural effusion is present.",
            "A {sev} pleural effusion is seen on the {side}.",
            "Blunting of the {side} costophrenic angle from a {sev} effusion.",
            "{sev} amount of pleural fluid at the {side} base.",
            "A {sev} {side} effusion layers along the hemidiaphragm.",
            "{side} hemidiaphragm is obscured by a {sev} effusion.",
        ),
        plural_phrases=("{sev} {side} pleural effusions", "{sev} {side} effusions"),
        plural_sentences=(
            "There are {sev} {side} pleural effusions.",
            "{sev} {side} pleural effusions.",
            "{sev} {side} effusions are present.",
            "{side} blunting of the costophrenic angles from {sev} effusions.",
            "{sev} amounts of pleural fluid on both sides.",
        ),
    ),
    "pneumothorax": Vocabulary(
        terms=("pneumothorax",),
        severity={**SMALL_TO_LARGE, "tension": ("tension",)},
        phrases=("{sev} {side} pneumothorax",),
        sentences=(
            "There is a {sev} {side} pneumothorax.",
            "{sev} {side} pneumothorax.",
            "{sev} {side} pneumothorax is present.",
            "A {sev} {side} pneumothorax with a visible pleural line.",
            "A {sev} pneumothorax is seen on the {side}, without lung markings along the chest wall.",
            "Retraction of the {side} lung by a {sev} pneumothorax.",
        ),
    ),
    "consolidation": Vocabulary(
        terms=("consolidation", "airspace opacity", "airspace disease", "infiltrate", "opacity", "pneumonia"),
        severity={
            "patchy": ("patchy", "ill-defined", "hazy"),
            "dense": ("dense", "confluent", "homogeneous"),
        },
        location={zone: LOBES[zone] + PLURAL_LOBES[zone] for zone in LOBES},
        phrases=("{sev} {side} {where} consolidation", "{sev} {side} {where} airspace disease"),
        sentences=(
            "There is {sev} consolidation in the {side} {where}.",
            "{sev} {side} {where} opacity.",
            "{sev} airspace opacity in the {side} {where}.",
            "{sev} airspace disease is seen in the {side} {where}.",
            "The {side} {where} shows {sev} consolidation.",
            "{sev} infiltrate projects over the {side} {where}.",
            "{side} {where} {sev} airspace disease.",
        ),
        plural_phrases=("{sev} {side} {where} opacities", "{sev} {side} {where} consolidation"),
        plural_sentences=(
            "There are {sev} opacities in both {where}.",
            "{sev} {side} opacities in the {where}.",
            "{sev} airspace disease is seen in both {where}.",
        ),
    ),
    "edema": Vocabulary(
        terms=("pulmonary edema", "interstitial edema", "alveolar edema", "edema"),
        severity={
            "mild": ("mild", "slight", "early"),
            "severe": ("severe", "marked", "extensive"),
        },
        phrases=("{sev} pulmonary edema", "{sev} {side} edema"),
        sentences=(
            "There is {sev} pulmonary edema.",
            "{sev} {side} interstitial edema.",
            "Perihilar haze in keeping with {sev} pulmonary edema.",
            "Prominent vessels and septal lines from {sev} edema.",
            "{side} perihilar haze, {sev} edema.",
            "The pulmonary vessels are indistinct from {sev} interstitial edema.",
        ),
        default_side="bilateral",
    ),
    "atelectasis": Vocabulary(
        terms=("atelectasis", "atelectatic change", "linear opacity", "bandlike opacity"),
        severity={
            "mild": ("mild", "minimal", "subsegmental"),
            "moderate": ("moderate", "broad", "marked"),
        },
        location={
            "base": ("base", "basilar", "basal", "lung base", "lung bases", "bases", "bibasilar", "bibasal")
        },
        phrases=("{sev} {side} basilar atelectasis", "{sev} {side} basal atelectasis"),
        sentences=(
            "There is {sev} {side} basilar atelectasis.",
            "{sev} atelectasis at the {side} lung base.",
            "{sev} linear opacity at the {side} base.",
            "{sev} bandlike opacity at the {side} lung base.",
            "{sev} {side} basal atelectatic change.",
        ),
        plural_phrases=("{sev} bibasilar atelectasis",),
        plural_sentences=(
            "There is {sev} bibasilar atelectasis.",
            "{sev} linear opacities at both lung bases.",
            "{sev} bibasal atelectatic changes.",
            "{sev} atelectasis at both bases.",
        ),
    ),
    "nodule": Vocabulary(
        terms=("nodule", "nodular opacity", "nodular density", "round opacity"),
        severity={
            "small": ("small", "tiny", "subtle"),
            "large": ("large", "3 cm", "sizable"),
        },
        location=LOBES,
        phrases=("{sev} {side} {where} nodule", "{sev} nodule in the {side} {where}"),
        sentences=(
            "There is a {sev} nodule in the {side} {where}.",
            "{sev} {side} {where} nodule.",
            "{sev} nodular opacity projects over the {side} {where}.",
            "A {sev} nodular density is seen in the {side} {where}.",
            "{sev} round opacity in the {side} {where}.",
        ),
    ),
    "rib_fracture": Vocabulary(
        terms=("rib fracture", "fracture", "fractured"),
        severity={
            "displaced": ("displaced", "dislocated"),
            "nondisplaced": ("nondisplaced", "non-displaced"),
        },
        phrases=("{sev} {side} rib fracture", "{sev} fracture of a {side} rib"),
        sentences=(
            "There is a {sev} {side} rib fracture.",
            "{sev} fracture of a {side} lateral rib.",
            "{sev} {side} rib fracture with adjacent soft tissue swelling.",
            "A {sev} fracture of a {side} rib is noted.",
        ),
    ),
    "endotracheal_tube": Vocabulary(
        terms=("endotracheal tube", "tracheal tube", "et tube"),
        location={
            "in_position": (
                "standard position",
                "satisfactory position",
                "above the carina",
                "good position",
            ),
            "right_main_bronchus": ("right main bronchus", "right mainstem bronchus", "right main stem"),
            "too_high": ("too high", "high position", "above the clavicles", "thoracic inlet"),
        },
        phrases=("endotracheal tube {where}", "tracheal tube {where}"),
        sentences=(
            "The endotracheal tube is {where}.",
            "Endotracheal tube tip {where}.",
            "ET tube tip projects {where}.",
            "An endotracheal tube is present {where}.",
        ),
    ),
    "central_line": Vocabulary(
        terms=("central line", "central venous catheter", "central venous line", "picc"),
        location={
            "superior_vena_cava": ("superior vena cava", "svc", "cavoatrial junction"),
            "right_atrium": ("right atrium", "right atrium of the heart"),
        },
        phrases=(
            "{side} central line with tip in the {where}",
            "{side} central venous catheter in the {where}",
        ),
        sentences=(
            "{side} central line with tip in the {where}.",
            "The tip of the {side} central venous catheter lies in the {where}.",
            "A {side} central venous catheter ends in the {where}.",
            "{side} PICC terminates in the {where}.",
        ),
    ),
    "pacemaker": Vocabulary(
        terms=("pacemaker", "pacing device", "pacer"),
        phrases=("{side} chest wall pacemaker", "{side} pacemaker"),
        sentences=(
            "{side} chest wall pacemaker with intact leads.",
            "There is a {side} pacemaker with leads over the heart.",
            "A {side} pacing device is in place.",
            "{side} pacer with two leads.",
        ),
    ),
}

TUBE_PLACES: Words = {
    "in_position": (
        "in standard position",
        "in satisfactory position",
        "in good position",
        "{cm} cm above the carina",
    ),
    "right_main_bronchus": (
        "in the right main bronchus",
        "within the right mainstem bronchus",
        "down the right main stem",
    ),
    "too_high": ("too high", "in a high position", "above the clavicles", "at the thoracic inlet"),
}
"""Location phrases of the tube with their prepositions."""

SHIFT_SENTENCES = (
    "The mediastinum is shifted to the {other}.",
    "Mediastinal shift to the {other}.",
    "Trachea and heart are shifted to the {other}.",
)
"""Said after a tension pneumothorax; the reader ignores them (the side is the other one)."""
