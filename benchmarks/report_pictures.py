"""Pictures of a run's report for the docs: python benchmarks/report_pictures.py RUN FOLDER

Writes report.png, the first screen, and report_case.png, a case of it; of phantom runs only, since pictures
of real studies don't belong into a repository.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1180, 900


def main() -> None:
    run, folder = Path(sys.argv[1]), Path(sys.argv[2])
    manifest = json.loads((run / "manifests" / "prepare.json").read_text(encoding="utf-8"))
    if manifest["config"]["data"]["source"] != "phantoms":
        raise SystemExit(f"{run} has studies of people: no pictures of them")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto((run / "report.html").resolve().as_uri())
        page.screenshot(path=folder / "report.png")
        case = page.locator("article").first
        case.scroll_into_view_if_needed()
        case.screenshot(path=folder / "report_case.png")
        browser.close()


if __name__ == "__main__":
    main()
