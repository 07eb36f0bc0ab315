"""What one sentence asserts: the traps that published labelers fall into, in phrases of our own."""

from __future__ import annotations

import pytest

from radflow.clinical.labeler import RuleLabeler

P, A, U = "present", "absent", "uncertain"


@pytest.fixture(scope="module")
def labeler() -> RuleLabeler:
    return RuleLabeler("chest-xray")


def read(labeler: RuleLabeler, text: str) -> dict[str, str]:
    """Observation -> assertion; a text that says two things about one observation fails the test."""
    found: dict[str, str] = {}
    for mention in labeler.label(text):
        assert found.setdefault(mention.observation, mention.assertion) == mention.assertion, text
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # published failures of the reference labeler
        ("No rib fracture", {"Fracture": A}),
        ("no evidence of pneumothorax or large pleural effusion", {"Pneumothorax": A, "Pleural Effusion": A}),
        (
            "No pneumothorax or pleural effusion or consolidation or edema",
            {"Pneumothorax": A, "Pleural Effusion": A, "Consolidation": A, "Edema": A},
        ),
        ("A 2 cm lesion in the right lung.", {"Lung Lesion": P}),
        ("Heart and mediastinum normal", {"Cardiomegaly": A, "Enlarged Cardiomediastinum": A}),
        ("No effusion and/or pneumothorax", {"Pleural Effusion": A, "Pneumothorax": A}),
        (
            "No effusion/pneumothorax/consolidation",
            {"Pleural Effusion": A, "Pneumothorax": A, "Consolidation": A},
        ),
        # lists
        (
            "No effusions, consolidation, edema, or pneumothorax is seen",
            {"Pleural Effusion": A, "Consolidation": A, "Edema": A, "Pneumothorax": A},
        ),
        (
            "No displaced rib fractures, large pleural effusion, or pneumothorax identified.",
            {"Fracture": A, "Pleural Effusion": A, "Pneumothorax": A},
        ),
        ("Neither effusion nor pneumothorax", {"Pleural Effusion": A, "Pneumothorax": A}),
        ("No effusion but mild cardiomegaly", {"Pleural Effusion": A, "Cardiomegaly": P}),
        ("No effusion, mild cardiomegaly", {"Pleural Effusion": A, "Cardiomegaly": P}),
        (
            "There is no evidence of pneumothorax and a small left effusion is present",
            {"Pneumothorax": A, "Pleural Effusion": P},
        ),
        (
            "Without effusion, pneumothorax or edema, but with cardiomegaly",
            {"Pleural Effusion": A, "Pneumothorax": A, "Edema": A, "Cardiomegaly": P},
        ),
        ("There is pneumonia and effusion is absent", {"Pneumonia": P, "Pleural Effusion": A}),
        (
            "Possible small left effusion and mild right basilar atelectasis",
            {"Pleural Effusion": U, "Atelectasis": P},
        ),
        # resolved and unchanged
        ("Right effusion has resolved.", {"Pleural Effusion": A}),
        ("Previously seen left pneumothorax is no longer visible.", {"Pneumothorax": A}),
        (
            "Consolidation, atelectasis, and edema have cleared.",
            {"Consolidation": A, "Atelectasis": A, "Edema": A},
        ),
        ("The effusions have nearly resolved", {"Pleural Effusion": P}),
        ("There is no change in the moderate left pneumothorax", {"Pneumothorax": P}),
        ("Pneumothorax has not resolved", {"Pneumothorax": P}),
        # doubt
        ("Pneumonia cannot be excluded.", {"Pneumonia": U}),
        ("A small effusion cannot be entirely excluded", {"Pleural Effusion": U}),
        ("Cannot exclude pneumonia", {"Pneumonia": U}),
        (
            "Opacity may represent atelectasis or pneumonia, with a small effusion",
            {"Lung Opacity": P, "Atelectasis": U, "Pneumonia": U, "Pleural Effusion": P},
        ),
        ("Findings may be secondary to edema or infection", {"Edema": U, "Infection": U}),
        ("Differential includes edema, pneumonia, hemorrhage", {"Edema": U, "Pneumonia": U}),
        ("pulmonary edema is possible", {"Edema": U}),
        ("?pneumonia", {"Pneumonia": U}),
        ("No focal opacity to suggest pneumonia", {"Lung Opacity": A, "Pneumonia": A}),
        # double negation
        ("The lungs are not without opacities", {"Lung Opacity": P}),
        ("Not free of effusion", {"Pleural Effusion": P}),
        ("No pneumothorax, although effusion cannot be excluded", {"Pneumothorax": A, "Pleural Effusion": U}),
        # heads
        ("Heart is not enlarged", {"Cardiomegaly": A}),
        ("The heart is again mildly enlarged", {"Cardiomegaly": P}),
        ("Normal heart size and mediastinal contours", {"Cardiomegaly": A, "Enlarged Cardiomediastinum": A}),
        ("The cardiomediastinal silhouette is unremarkable", {"Enlarged Cardiomediastinum": A}),
        ("Mediastinum is widened", {"Enlarged Cardiomediastinum": P}),
        ("Clear lungs", {"Lung Abnormality": A}),
        # cues behind
        ("Pleural effusion is not identified", {"Pleural Effusion": A}),
        ("Pneumothorax: none. Edema: mild.", {"Pneumothorax": A, "Edema": P}),
        # form
        ("NO PNEUMOTHORAX OR PLEURAL EFFUSION. HEART IS ENLARGED", {
            "Pneumothorax": A, "Pleural Effusion": A, "Cardiomegaly": P,
        }),
        ("1. No pneumothorax 2. Mild cardiomegaly", {"Pneumothorax": A, "Cardiomegaly": P}),
        ("1) No pneumothorax\n2) Mild cardiomegaly", {"Pneumothorax": A, "Cardiomegaly": P}),
        ("No pleural effusion Heart size is enlarged", {"Pleural Effusion": A, "Cardiomegaly": P}),
        ("No pleural effusion\nMild edema", {"Pleural Effusion": A, "Edema": P}),
        ("No XXXX of effusion. XXXX pneumonia", {"Pleural Effusion": A, "Pneumonia": P}),
        ("___ effusion without ___ pneumothorax", {"Pleural Effusion": P, "Pneumothorax": A}),
        # history and questions say nothing of this image
        ("History of pneumonia. No effusion.", {"Pleural Effusion": A}),
        ("Evaluate for pneumothorax", {}),
        ("Rule out pneumonia", {}),
        ("Recommend CT to exclude mass", {}),
        ("Follow up to ensure resolution of pneumonia", {}),
        ("Trace if any pleural effusion", {"Pleural Effusion": P}),
        ("Non-displaced left rib fracture", {"Fracture": P}),
        ("No new consolidation", {"Consolidation": U}),  # an old one may be there, as published
        # exceptions
        ("Large pericardial effusion", {"Pericardial Effusion": P}),
        ("No mass effect", {}),
    ],
)  # fmt: skip
def test_a_sentence_asserts_what_it_says(labeler: RuleLabeler, text: str, expected: dict[str, str]) -> None:
    assert read(labeler, text) == expected


@pytest.mark.parametrize("header", ["INDICATION", "HISTORY", "COMPARISON", "TECHNIQUE"])
def test_sections_that_do_not_describe_the_image_are_not_read(labeler: RuleLabeler, header: str) -> None:
    text = f"{header}: Pneumonia, effusion.\nFINDINGS: Mild edema.\nIMPRESSION: No pneumothorax."
    mentions = labeler.label(text)
    assert [(mention.observation, mention.section) for mention in mentions] == [
        ("Edema", "findings"),
        ("Pneumothorax", "impression"),
    ]


@pytest.mark.parametrize(
    ("text", "side", "severity", "change"),
    [
        ("Small left effusion.", "left", "small", None),
        ("Bilateral effusions, left greater than right, unchanged.", "bilateral", None, "unchanged"),
        ("The right effusion has resolved.", "right", None, "resolved"),
        ("New moderate right effusion", "right", "moderate", "new"),
        ("Worsening effusion", None, None, "worse"),
        ("No change in the large right effusion", "right", "large", "unchanged"),
        ("Left rib fracture with small effusion on the right", "right", "small", None),
    ],
)
def test_modifiers_belong_to_their_mention(
    labeler: RuleLabeler, text: str, side: str | None, severity: str | None, change: str | None
) -> None:
    mention = next(m for m in labeler.label(text) if m.observation == "Pleural Effusion")
    assert (mention.side, mention.severity, mention.change) == (side, severity, change)


def test_the_deciding_cue_is_named(labeler: RuleLabeler) -> None:
    cues = {m.observation: m.cue for m in labeler.label("No effusion. Pneumonia cannot be excluded. Edema.")}
    assert cues == {"Pleural Effusion": "No", "Pneumonia": "cannot be excluded", "Edema": None}
