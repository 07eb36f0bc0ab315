"""Record the losses of the tests' small run: python -m tests.golden.record_learning_curve

Recorded with torch 2.13.0 (CPU, one thread), transformers 5.23.0, trl 1.16.0, Python 3.11. Record it anew
only when a change of the method is meant to change what is learned; CHANGELOG says so then.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("learning_curve.json")


def curve(folder: Path) -> dict[str, Any]:
    """SFT's losses by step, in nats a report token; the reward of greedy validation reports before RFT."""
    rows = [json.loads(line) for line in (folder / "sft_history.jsonl").read_text().splitlines()]
    first = json.loads((folder / "rft_history.jsonl").read_text().splitlines()[0])
    return {
        "loss": {str(row["step"]): row["loss"] for row in rows if "loss" in row},
        "validation_loss": {str(row["step"]): row["eval_loss"] for row in rows if "eval_loss" in row},
        "validation_reward": first["validation_reward"],
    }


def main() -> None:
    from tests.integration.small import SMALL

    from radflow.config_file import load_config
    from radflow.stages.pipeline import run_stages

    with tempfile.TemporaryDirectory() as scratch:
        run_stages(load_config(None, overrides=SMALL), Path(scratch))
        GOLDEN.write_text(json.dumps(curve(Path(scratch)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
