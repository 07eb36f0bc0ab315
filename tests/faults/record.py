"""Meet every fault, or those whose name holds some words, and write what was seen into docs/reliability.md.

python -m tests.faults.record            # all, the dear ones too: minutes
python -m tests.faults.record "power cut"
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.faults.page import PAGE


def main() -> int:
    os.environ |= {"RADFLOW_FAULTS": "all", "RADFLOW_RECORD_FAULTS": str(PAGE)}
    words = ["-k", " and ".join(" ".join(sys.argv[1:]).split())] if len(sys.argv) > 1 else []
    return int(pytest.main(["tests/faults", "-q", "-p", "no:cacheprovider", *words]))


if __name__ == "__main__":
    sys.exit(main())
