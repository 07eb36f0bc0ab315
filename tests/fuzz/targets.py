"""All targets by name"""

from __future__ import annotations

from tests.fuzz import file_targets, image_targets, text_targets
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*text_targets.TARGETS, *file_targets.TARGETS, *image_targets.TARGETS)
}
