"""Record what pycocoevalcap 1.2 gives on a few pairs: python tests/golden/record_captioning.py

Needs `pip install pycocoevalcap` and, for METEOR, Java. Texts are ours, already lower-cased, tokens apart.
Recorded with pycocoevalcap 1.2, numpy 2.4, Java 17, Python 3.11.
"""

from __future__ import annotations

import json
from pathlib import Path

PAIRS = [
    ("the heart is mildly enlarged .", "the heart is enlarged ."),
    ("small left pleural effusion . no pneumothorax .", "no pleural effusion . no pneumothorax ."),
    ("the lungs are clear .", "the lungs are clear ."),
    ("patchy opacity at the right base may be atelectasis .", "opacities at the right base , atelectasis ."),
    ("no acute disease .", "stable appearance of the chest without acute cardiopulmonary process today ."),
    ("lines end in the superior vena cava .", "the line ends in the cava superior ."),
    ("effusion", "effusions"),
    ("heart size is normal . the lungs are clear .", ""),
]


def main() -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    references = {str(place): [pair[0]] for place, pair in enumerate(PAIRS)}
    predictions = {str(place): [pair[1]] for place, pair in enumerate(PAIRS)}
    bleu, sentence_bleu = Bleu(4).compute_score(references, predictions, verbose=0)
    rouge, sentence_rouge = Rouge().compute_score(references, predictions)
    cider, sentence_cider = Cider().compute_score(references, predictions)
    filled = {name: texts for name, texts in predictions.items() if texts[0]}  # METEOR stops at empty texts
    program = Meteor()
    meteor, sentence_meteor = program.compute_score({name: references[name] for name in filled}, filled)
    counts = [program._stat(filled[name][0], references[name]).split() for name in filled]
    recorded = {
        "pairs": PAIRS,
        "bleu": [float(value) for value in bleu],
        "sentence_bleu": [[float(value) for value in order] for order in sentence_bleu],
        "rouge_l": float(rouge),
        "sentence_rouge_l": [float(value) for value in sentence_rouge],
        "cider": float(cider),
        "sentence_cider": [float(value) for value in sentence_cider],
        "meteor_without_empty": float(meteor),
        "sentence_meteor_without_empty": [float(value) for value in sentence_meteor],
        "meteor_counts": [[float(number) for number in own] for own in counts],
    }
    path = Path(__file__).with_name("captioning.json")
    path.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
