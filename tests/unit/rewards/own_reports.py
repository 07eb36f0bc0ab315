"""Reports in our own words: a reference of each kind, and beside it an honest but imperfect one"""

from __future__ import annotations

from typing import NamedTuple

from radflow.data.sections import parse_report
from radflow.records import Report


class Pair(NamedTuple):
    """A reference and what a model might write that sees most of it, in other words."""

    kind: str
    reference: str
    imperfect: str

    @property
    def report(self) -> Report:
        return parse_report(self.reference)


def _pair(kind: str, findings: str, impression: str, other_findings: str, other_impression: str) -> Pair:
    return Pair(
        kind,
        f"FINDINGS: {findings}\nIMPRESSION: {impression}",
        f"FINDINGS: {other_findings}\nIMPRESSION: {other_impression}",
    )


OWN_REPORTS = (
    _pair(
        "normal",
        "The heart is normal in size. The lungs are clear. There is no pleural effusion or pneumothorax.",
        "No acute cardiopulmonary abnormality.",
        "Heart size is normal. The lungs are clear. No pleural effusion.",
        "No acute cardiopulmonary disease.",
    ),
    _pair(
        "normal, with bones",
        "Cardiomediastinal silhouette is within normal limits. Lungs are clear bilaterally. No effusion. "
        "The right ribs are intact.",
        "Normal chest radiograph.",
        "The cardiomediastinal silhouette is normal. Both lungs are clear. No effusion is seen.",
        "Normal chest.",
    ),
    _pair(
        "effusion",
        "There is a small left pleural effusion. The heart is mildly enlarged. No pneumothorax is seen.",
        "Small left pleural effusion. Mild cardiomegaly.",
        "A small left pleural effusion is present. The heart size is normal. No pneumothorax.",
        "Small left pleural effusion.",
    ),
    _pair(
        "pneumothorax",
        "A large right pneumothorax is present. The left lung is clear. No effusion.",
        "Large right pneumothorax.",
        "There is a moderate right pneumothorax. The left lung is clear. There is no effusion.",
        "Moderate right pneumothorax.",
    ),
    _pair(
        "device",
        "The endotracheal tube ends 4 cm above the carina. A right central venous catheter ends in the SVC. "
        "Mild pulmonary edema. No pneumothorax.",
        "Lines and tubes in standard position. Mild pulmonary edema.",
        "Endotracheal tube in standard position. Right central venous catheter ends in the SVC. "
        "There is mild edema.",
        "Tubes in standard position. Mild pulmonary edema.",
    ),
    _pair(
        "pneumonia",
        "Consolidation in the right lower lobe. The left lung is clear. Heart size is normal. "
        "Small right effusion.",
        "Right lower lobe pneumonia. Small right effusion.",
        "There is consolidation in the right lower lobe. The left lung is clear. The heart is normal.",
        "Right lower lobe pneumonia.",
    ),
    _pair(
        "edema",
        "Severe pulmonary edema. Moderate bilateral pleural effusions. The heart is enlarged.",
        "Severe pulmonary edema with moderate bilateral effusions. Cardiomegaly.",
        "Moderate pulmonary edema. Bilateral pleural effusions. The heart is enlarged.",
        "Pulmonary edema with bilateral effusions. Cardiomegaly.",
    ),
    _pair(
        "fracture",
        "There is an acute fracture of the left sixth rib. No pneumothorax. The lungs are clear. "
        "Mild scoliosis.",
        "Acute left sixth rib fracture without pneumothorax.",
        "Fracture of a left rib. There is no pneumothorax. The lungs are clear.",
        "Left rib fracture.",
    ),
    _pair(
        "nodule",
        "A small nodule is seen in the left upper lobe. No focal consolidation or effusion. "
        "The heart is normal.",
        "Small left upper lobe nodule. CT is recommended.",
        "There is a small nodule in the left upper lobe. No consolidation. Heart size is normal.",
        "Left upper lobe nodule.",
    ),
    _pair(
        "atelectasis",
        "Mild bibasilar atelectasis, left greater than right. No effusion. The cardiac silhouette is normal.",
        "Mild bibasilar atelectasis.",
        "Mild atelectasis at both lung bases. There is no effusion. Normal cardiac silhouette.",
        "Bibasilar atelectasis.",
    ),
    _pair(
        "pacemaker",
        "A left pacemaker is in place. The heart is moderately enlarged. There is no edema. No effusion.",
        "Moderate cardiomegaly with left pacemaker. No acute disease.",
        "Left-sided pacemaker. The heart is enlarged. No edema or effusion.",
        "Cardiomegaly. Pacemaker in place.",
    ),
    _pair(
        "uncertain",
        "Patchy opacity at the right base may represent atelectasis or pneumonia. Small right effusion. "
        "No pneumothorax.",
        "Right basilar opacity, possibly pneumonia. Small right effusion.",
        "There is an opacity at the right base, which may be pneumonia. No pneumothorax.",
        "Right basilar opacity, possibly pneumonia.",
    ),
    _pair(
        "several",
        "Large left pleural effusion with compressive atelectasis of the left lower lobe. Mild cardiomegaly. "
        "The right lung is clear. Old right rib fracture.",
        "Large left effusion with left lower lobe atelectasis. Mild cardiomegaly.",
        "Large left pleural effusion. Atelectasis at the left base. The right lung is clear. "
        "The heart is mildly enlarged.",
        "Large left effusion with atelectasis. Mild cardiomegaly.",
    ),
    _pair(
        "hernia",
        "Large hiatal hernia. The lungs are clear. No effusion or pneumothorax on the left or right.",
        "Large hiatal hernia. No acute abnormality.",
        "There is a hiatal hernia. Lungs are clear. No effusion or pneumothorax.",
        "Hiatal hernia. No acute abnormality.",
    ),
)
