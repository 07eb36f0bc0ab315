"""What reports say about absent findings, and the words that negate, soften or separate.

Part of the one vocabulary (see ``chest_words``); kept apart because it is about assertions, not observations.
"""

from __future__ import annotations

from collections.abc import Mapping

LUNGS = ("consolidation", "edema", "atelectasis", "nodule")
ACUTE = ("pleural_effusion", "pneumothorax", "consolidation", "edema")
"""What "no acute abnormality" denies."""

DENIALS: Mapping[str, tuple[str, ...]] = {
    "heart size is normal": ("cardiomegaly",),
    "heart size normal": ("cardiomegaly",),
    "heart is normal": ("cardiomegaly",),
    "normal heart size": ("cardiomegaly",),
    "heart is of normal size": ("cardiomegaly",),
    "heart and mediastinum are normal": ("cardiomegaly",),
    "heart and mediastinum are unremarkable": ("cardiomegaly",),
    "heart size is within normal limits": ("cardiomegaly",),
    "cardiomediastinal silhouette is normal": ("cardiomegaly",),
    "cardiomediastinal contours are normal": ("cardiomegaly",),
    "cardiomediastinal silhouette is within normal limits": ("cardiomegaly",),
    "cardiac silhouette is normal": ("cardiomegaly",),
    "lungs are clear": LUNGS,
    "lungs clear": LUNGS,
    "clear lungs": LUNGS,
    "both lungs are clear": LUNGS,
    "lungs are well expanded and clear": LUNGS,
    "pleural spaces are clear": ("pleural_effusion", "pneumothorax"),
    "costophrenic angles are sharp": ("pleural_effusion",),
    "bones are intact": ("rib_fracture",),
    "ribs are intact": ("rib_fracture",),
    "bony thorax is intact": ("rib_fracture",),
    "osseous structures are intact": ("rib_fracture",),
    "osseous structures are unremarkable": ("rib_fracture",),
    "no acute bony abnormality": ("rib_fracture",),
    "no acute osseous abnormality": ("rib_fracture",),
    "no bony abnormality": ("rib_fracture",),
    "pulmonary vasculature is normal": ("edema",),
    "pulmonary vascularity is normal": ("edema",),
    "no acute cardiopulmonary abnormality": ACUTE,
    "no acute cardiopulmonary process": ACUTE,
    "no acute cardiopulmonary disease": ACUTE,
    "no acute cardiopulmonary finding": ACUTE,
    "no acute abnormality": ACUTE,
    "no acute disease": ACUTE,
    "no acute finding": ACUTE,
    "no acute findings": ACUTE,
    "no active disease": ACUTE,
    "no evidence of active disease": ACUTE,
    "no acute thoracic abnormality": ACUTE,
    "negative for acute abnormality": ACUTE,
    "no acute radiographic abnormality": ACUTE,
    "normal chest": (*ACUTE, "cardiomegaly", "atelectasis"),
    "normal radiograph of the chest": (*ACUTE, "cardiomegaly", "atelectasis"),
}
"""Wordings that deny observations without naming them."""

SIDED_DENIALS: Mapping[str, tuple[str, str]] = {
    f"{side} lung {verb}": (side, verb)
    for side in ("left", "right")
    for verb in ("is clear", "appears clear")
}
"""Wordings that deny the lung's lesions on one side."""

NEUTRAL = (
    "with tip",
    "with the tip",
    "shifted to the left",
    "shifted to the right",
    "shift to the left",
    "shift to the right",
    "right ventricle",
    "no change",
    "no other",
    "no additional",
)
"""Phrases whose words would mislead; the reader steps over them."""

NEGATIONS = (
    "no",
    "not",
    "without",
    "negative for",
    "free of",
    "absence of",
    "absent",
    "clear of",
    "neither",
    "nor",
)
UNCERTAIN_BEFORE = (
    "possible",
    "possibly",
    "questionable",
    "suspected",
    "may represent",
    "might represent",
    "could represent",
    "suspicious for",
    "concerning for",
    "cannot exclude",
    "equivocal for",
    "probable",
)
UNCERTAIN_AFTER = (
    "cannot be excluded",
    "can not be excluded",
    "is not excluded",
    "are not excluded",
    "is possible",
    "are possible",
    "is suspected",
    "are suspected",
    "is a consideration",
)
NEGATED_AFTER = ("is absent", "are absent", "is not seen", "are not seen", "has resolved", "have resolved")
BREAKERS = ("but", "however", "although", "though", "except", "otherwise", "there is", "there are")
"""Words after which an earlier negation or doubt no longer holds."""
CONNECTIVES = ("and", "or", "with", "plus", ",")

NORMAL_LISTS: Mapping[str, tuple[str, ...]] = {
    "heart": (
        "The heart size is normal.",
        "Heart size is within normal limits.",
        "The cardiomediastinal silhouette is normal in size.",
        "The heart is of normal size.",
        "The heart and mediastinum are unremarkable.",
        "Cardiomediastinal contours are normal.",
        "The heart is normal in size and shape.",
        "Normal heart size and mediastinal contours.",
    ),
    "lungs": (
        "The lungs are clear.",
        "Both lungs are clear and well aerated.",
        "No focal consolidation.",
        "The lungs are free of consolidation.",
        "Lungs are clear without edema or consolidation.",
        "The lungs are well expanded and clear.",
        "No focal airspace disease is seen.",
        "There is no consolidation, nodule or edema.",
        "No airspace opacity or suspicious nodule.",
    ),
    "pleura": (
        "No pneumothorax or pleural effusion.",
        "There is no pleural effusion or pneumothorax.",
        "No pleural effusion. No pneumothorax.",
        "Costophrenic angles are sharp and there is no pneumothorax.",
        "There is no evidence of effusion or pneumothorax.",
        "The pleural spaces are clear.",
        "Negative for pneumothorax or effusion.",
    ),
    "bones": (
        "No acute bony abnormality.",
        "The bony thorax is intact.",
        "Visualized osseous structures are intact.",
        "No displaced rib fracture.",
        "The ribs are intact.",
        "Osseous structures are unremarkable for age.",
    ),
    "vessels": (
        "Pulmonary vascularity is normal.",
        "The pulmonary vasculature is normal in caliber.",
        "There is no pulmonary edema.",
    ),
}
"""Normal sentences by organ, in the order of how often they are said; filler sentences follow."""

PARTIAL_PLEURA = (
    "No pneumothorax.",
    "There is no pneumothorax.",
    "No pleural effusion.",
    "No effusion is seen.",
)
"""Said when the other pleural finding is there."""

FILLERS = (
    "The trachea is midline.",
    "Degenerative changes of the thoracic spine.",
    "Mild tortuosity of the aorta.",
    "The aorta is calcified.",
    "Hilar contours are unremarkable.",
    "Surgical clips in the upper abdomen.",
    "Soft tissues are unremarkable.",
)
NORMAL_IMPRESSIONS = (
    "No acute cardiopulmonary abnormality.",
    "No acute cardiopulmonary process.",
    "No evidence of active disease.",
    "No acute disease.",
    "No acute findings.",
    "Normal chest.",
    "No acute cardiopulmonary disease is seen.",
    "No acute radiographic abnormality of the chest.",
    "1. No acute thoracic abnormality.",
    "Normal radiograph of the chest.",
    "Negative for acute abnormality of heart or lungs.",
)
CLOSING_IMPRESSIONS = ("No other acute abnormality.", "Otherwise unremarkable.", "No additional finding.")
STABLE_IMPRESSIONS = ("No significant change.", "Stable appearance of the chest.", "No interval change.")
SOFT_SENTENCES = (
    "Possible {phrase}.",
    "Questionable {phrase}.",
    "Findings may represent {phrase}.",
    "Suspected {phrase}.",
    "{phrase} cannot be excluded.",
    "{phrase} is not excluded.",
    "Appearance concerning for {phrase}.",
    "{phrase} is a consideration.",
)
INDICATIONS: Mapping[str, tuple[str, ...]] = {
    "": ("Chest pain.", "Cough.", "Shortness of breath.", "Preoperative evaluation.", "Fever.", "Weakness."),
    "edema": ("Dyspnea.", "Shortness of breath.", "Leg swelling."),
    "cardiomegaly": ("Dyspnea.", "Hypertension."),
    "consolidation": ("Cough and fever.", "Fever.", "Productive cough."),
    "pneumothorax": ("Chest pain.", "Sudden dyspnea.", "Trauma."),
    "rib_fracture": ("Fall.", "Trauma.", "Chest wall pain."),
    "endotracheal_tube": ("Intubation.", "Respiratory failure."),
}
"""Reasons for the examination; those under a finding's name are drawn for half of its studies."""
