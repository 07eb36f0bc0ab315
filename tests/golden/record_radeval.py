"""Record what RadEval 2.2.1 gives on a few pairs: python tests/golden/record_radeval.py

In an environment of its own: pip install torch==2.13.0 and rouge_score, numpy, pandas, nltk, rich, pyyaml,
transformers, scikit-learn, then --no-deps RadEval==2.2.1 (its other requirements are for metrics that aren't
compared). Recorded with RadEval 2.2.1, rouge-score 0.1.2, nltk 3.10, Python 3.11. Texts are ours.
"""

from __future__ import annotations

import json
from pathlib import Path

PAIRS = [
    ("The heart is mildly enlarged.", "The heart is enlarged."),
    ("Small left pleural effusion. No pneumothorax.", "No pleural effusions. No pneumothoraces."),
    ("The lungs are clear.", "the lungs are clear."),
    ("Patchy opacity at the right base may be atelectasis.", "Opacities at the right base, atelectasis."),
    ("No acute disease.", "Stable appearance of the chest without acute cardiopulmonary process today."),
    ("Lines end in the superior vena cava.", "The line ends in the cava, superior (unchanged)."),
    ("Effusion", "Effusions"),
    ("Heart size is normal. The lungs are clear.", ""),
]


def main() -> None:
    from radeval import RadEval

    references, predictions = (list(side) for side in zip(*PAIRS, strict=True))
    scorer = RadEval(metrics=["bleu", "rouge"], show_progress=False)
    bleu, rouge = (metric._compute_raw(references, predictions) for metric in scorer._active_metrics)
    recorded = {  # before the public call rounds to four digits
        "pairs": PAIRS,
        "bleu": [
            *(float(bleu["bleu"]["detailed"][f"bleu_{n}"]) for n in (1, 2, 3)),
            bleu["bleu"]["aggregate"],
        ],
        "rouge": [float(rouge[name]["aggregate"]) for name in ("rouge1", "rouge2", "rougeL")],
    }
    path = Path(__file__).with_name("radeval.json")
    path.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
