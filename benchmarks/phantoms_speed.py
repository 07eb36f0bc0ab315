"""Phantom studies per second on one core: python benchmarks/phantoms_speed.py [--studies 200]

Text and truth included; CPU time (not wall time), so that neighbours on a shared machine don't count.
Prints the median and the best of five runs.
"""

from __future__ import annotations

import argparse
import statistics
import time

from radflow.data.phantoms.carotid import make_carotid_case, make_carotid_phantom
from radflow.data.phantoms.chest import make_chest_phantom, make_chest_report

CASES = {
    "64 px": (64, False),
    "64 px + lateral": (64, True),
    "128 px": (128, False),
    "128 px + lateral": (128, True),
}


def rate(studies: int, *, image_size: int, lateral: bool) -> float:
    start = time.process_time()
    for index in range(studies):
        make_chest_phantom(index, seed=0, image_size=image_size, lateral=lateral)
    return studies / (time.process_time() - start)


def text_rate(studies: int) -> float:
    start = time.process_time()
    for index in range(studies):
        make_chest_report(index, seed=0)
    return studies / (time.process_time() - start)


def carotid_rate(studies: int, *, image_size: int | None) -> float:
    """Studies of two to four pictures; ``None`` draws none and makes truth and text alone."""
    start = time.process_time()
    for index in range(studies):
        if image_size is None:
            make_carotid_case(index, seed=0)
        else:
            make_carotid_phantom(index, seed=0, image_size=image_size)
    return studies / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    runs = [text_rate(studies) for _ in range(5)]
    print(f"{'text only':18s} median {statistics.median(runs):6.0f}/s  best {max(runs):6.0f}/s")
    for name, (image_size, lateral) in CASES.items():
        runs = [rate(studies, image_size=image_size, lateral=lateral) for _ in range(5)]
        print(f"{name:18s} median {statistics.median(runs):6.0f}/s  best {max(runs):6.0f}/s")
    for name, size in (("carotid text only", None), ("carotid 64 px", 64), ("carotid 128 px", 128)):
        runs = [carotid_rate(studies, image_size=size) for _ in range(5)]
        print(f"{name:18s} median {statistics.median(runs):6.0f}/s  best {max(runs):6.0f}/s")


if __name__ == "__main__":
    main()
