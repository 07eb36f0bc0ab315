"""The wording of carotid phantom reports: sentences for the Findings, noun phrases for the Impression.

Templates hold ``{side}`` (or ``{Side}`` where it opens a sentence) and what the truth table gives. In the
headed style a heading says the side, and the templates' ``{side} `` is left out. Most used first.
"""

from __future__ import annotations

from collections.abc import Mapping

PLACES: Mapping[str, tuple[str, ...]] = {
    "carotid bulb": ("carotid bulb", "carotid bifurcation"),
    "proximal internal carotid artery": ("proximal ICA", "proximal internal carotid artery", "ICA origin"),
}
KINDS: Mapping[str, tuple[str, ...]] = {
    "calcified": ("calcified", "calcific", "echogenic"),
    "soft": ("soft", "hypoechoic", "echolucent"),
    "mixed": ("heterogeneous", "mixed"),
}
SURFACES: Mapping[str, tuple[str, ...]] = {
    "smooth": ("", "", " with a smooth surface"),
    "irregular": (" with an irregular surface", " with irregular contour"),
    "ulcerated": (" with ulceration", " with an ulcerated surface"),
}
SHADOW = " and acoustic shadowing"
"""Follows a surface of calcified plaque; some reports say it."""

WALL: tuple[str, ...] = (
    "{Side} CCA: intima-media thickness {imt} mm.",
    "{Side} common carotid artery: intima-media thickness of {imt} mm.",
    "Intima-media thickness of the {side} common carotid artery is {imt} mm.",
    "The {side} CCA has an IMT of {imt} mm.",
)
THICK_WALL: tuple[str, ...] = (
    "{Side} CCA: intimal thickening, IMT {imt} mm.",
    "Intimal thickening of the {side} common carotid artery, {imt} mm.",
    "The {side} CCA has an increased intima-media thickness of {imt} mm.",
)
PLAQUE: tuple[str, ...] = (
    "{Side} {place}: {kind} plaque{surface}, {percent} stenosis.",
    "{Kind} plaque{surface} in the {side} {place} with {percent} stenosis.",
    "The {side} {place} shows {kind} plaque{surface} causing {percent} stenosis.",
    "There is {kind} plaque{surface} in the {side} {place} with {percent} diameter reduction.",
)
NEAR_OCCLUSION: tuple[str, ...] = (
    "{Side} {place}: {kind} plaque{surface}, near occlusion of the ICA.",
    "{Kind} plaque{surface} in the {side} {place} with near-total occlusion and trickle flow.",
    "The {side} {place} shows {kind} plaque{surface} with near occlusion and a string sign.",
)
OCCLUSION: tuple[str, ...] = (
    "{Side} ICA: occluded, no detectable flow.",
    "The {side} internal carotid artery is occluded.",
    "No detectable flow in the {side} internal carotid artery, which is filled with echoes.",
    "Occlusion of the {side} ICA from its origin.",
)
NO_PLAQUE: tuple[str, ...] = (
    "{Side} ICA: no plaque or stenosis.",
    "No plaque or stenosis in the {side} internal carotid artery.",
    "The {side} carotid bulb and ICA are widely patent without plaque.",
    "{Side} carotid bulb and ICA: no stenosis.",
)
THROMBUS: tuple[str, ...] = (
    "Free-floating thrombus in the lumen of the {side} ICA.",
    "A mobile thrombus lies in the {side} ICA behind the plaque.",
)
VELOCITIES: tuple[str, ...] = (
    "{Side} ICA PSV {psv} cm/s, EDV {edv} cm/s, ICA/CCA ratio {ratio}.",
    "{Side} ICA PSV {psv} cm/s, ICA/CCA ratio {ratio}.",
    "Peak systolic velocity in the {side} ICA is {psv} cm/s, end-diastolic velocity {edv} cm/s, "
    "ICA/CCA ratio {ratio}.",
    "The {side} ICA has a peak systolic velocity of {psv} cm/s and an ICA/CCA ratio of {ratio}.",
)
NO_DOPPLER: tuple[str, ...] = (
    "{Side} ICA: velocities not recorded.",
    "No spectral tracing of the {side} ICA was obtained.",
)
EXTERNAL: tuple[str, ...] = ("{Side} ECA: patent.", "The {side} external carotid artery is patent.")
BOTH_ANTEGRADE: tuple[str, ...] = (
    "Vertebral arteries: antegrade flow bilaterally.",
    "Both vertebral arteries show antegrade flow.",
    "Antegrade flow in both vertebral arteries.",
)
VERTEBRAL: Mapping[str, tuple[str, ...]] = {
    "antegrade": (
        "{Side} vertebral artery: antegrade flow.",
        "Flow in the {side} vertebral artery is antegrade.",
    ),
    "retrograde": (
        "{Side} vertebral artery: retrograde flow.",
        "Flow in the {side} vertebral artery is retrograde.",
        "Reversed flow in the {side} vertebral artery.",
    ),
    "bidirectional": (
        "{Side} vertebral artery: bidirectional flow.",
        "Flow in the {side} vertebral artery is bidirectional.",
    ),
}
HEADINGS: tuple[str, ...] = ("{SIDE} CAROTID SYSTEM:", "{SIDE} CAROTID:", "{SIDE} SIDE:")
OPENINGS: tuple[str, ...] = (
    "Gray-scale, color and spectral Doppler images of both sides were reviewed.",
    "Bilateral carotid duplex sonography was performed.",
)

GRADED: Mapping[str, tuple[str, ...]] = {
    "under 50": (
        "less than 50% stenosis of the {side} ICA",
        "mild stenosis of the {side} ICA",
        "{side} ICA: stenosis of less than 50%",
    ),
    "50-69": (
        "50-69% stenosis of the {side} ICA",
        "moderate stenosis of the {side} ICA (50-69%)",
        "moderate stenosis of the {side} internal carotid artery",
        "{side} ICA: 50-69% stenosis",
    ),
    "70-99": (
        "severe stenosis of the {side} ICA (70-99%)",
        "high-grade stenosis of the {side} internal carotid artery",
        "{percent} stenosis of the {side} ICA",
        "{side} ICA: severe stenosis, {percent}",
    ),
    "near occlusion": (
        "near occlusion of the {side} ICA",
        "near-total occlusion of the {side} internal carotid artery",
    ),
    "occlusion": (
        "occlusion of the {side} internal carotid artery",
        "{side} ICA occlusion",
        "occluded {side} ICA",
    ),
}
MILD_PLAQUE: tuple[str, ...] = (
    "{kind} plaque in the {side} {place} without significant stenosis",
    "{side} carotid plaque without hemodynamically significant stenosis",
)
"""Instead of a grade under 50 %; the first one says the kind, the second none."""
WITH_KIND: tuple[str, ...] = (" with {kind} plaque", " due to {kind} plaque")
WITH_ULCER = " with ulceration"
LOOSE_THROMBUS: tuple[str, ...] = (
    "free-floating thrombus in the {side} ICA",
    "mobile thrombus in the {side} internal carotid artery",
)
WALLS: tuple[str, ...] = ("intimal thickening of the {side} CCA", "{side} CCA: intimal thickening")
FLOWS: Mapping[str, tuple[str, ...]] = {
    "retrograde": ("retrograde flow in the {side} vertebral artery", "reversed {side} vertebral artery flow"),
    "bidirectional": ("bidirectional flow in the {side} vertebral artery",),
}
NORMAL: tuple[str, ...] = (
    "Normal carotid duplex examination.",
    "No hemodynamically significant carotid stenosis.",
    "No carotid stenosis on either side.",
    "No plaque or significant stenosis of either carotid artery.",
)
NORMAL_SIDE: tuple[str, ...] = ("No {side} carotid stenosis.", "No stenosis of the {side} ICA.")
NOTHING_SIGNIFICANT: tuple[str, ...] = (
    "No hemodynamically significant stenosis.",
    "No hemodynamically significant stenosis on either side.",
)
"""Closes an Impression whose stenoses are all under 50 %."""
REFERS: tuple[str, ...] = ("Findings as described above.", "Please see the findings above.")
"""All that is left of an Impression whose only item is left out."""
CLOSING: tuple[str, ...] = (
    "Clinical correlation is recommended.",
    "Follow-up duplex in 12 months is suggested.",
)
SOFT: tuple[str, ...] = ("possible {phrase}.", "{phrase} cannot be excluded.", "questionable {phrase}.")

INDICATIONS: tuple[str, ...] = (
    "Screening for carotid disease",
    "Hypertension and hyperlipidemia",
    "Cardiovascular risk factors",
    "Before cardiac surgery",
    "Dizziness",
)
SYMPTOMS: tuple[str, ...] = ("Carotid bruit", "Transient ischemic attack", "Stroke", "Amaurosis fugax")
"""Reasons that are given in half of the studies with a stenosis of 50 % or more."""
