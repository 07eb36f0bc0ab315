"""The review pages as a Starlette application: what is asked, the images beside it, and taking answers"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from radflow.clinical.judge_errors import CATEGORIES, ErrorCategory
from radflow.errors import RadflowError
from radflow.reporting.html import RESEARCH_USE, templates_in
from radflow.review.answers import CHOICES, MOST_ERRORS, TASKS, Answer, AnswerFile, Task
from radflow.review.questions import Material, Question, in_reviewers_order
from radflow.review.wording import ASKED, CATEGORY_NAMES, CATEGORY_TOLD, CHOICE_NAMES, TITLES, TOLD

PNG = b"\x89PNG\r\n\x1a\n"
STATIC = {"review.css": "text/css", "keys.js": "text/javascript", "icon.svg": "image/svg+xml"}


@dataclass(frozen=True)
class Shown:
    """A text as a page shows it: under a heading that doesn't tell who wrote it."""

    heading: str
    text: str


class ReviewPages:
    """All pages for one reviewer.

    Args:
        questions: of each task, in any order; the pages take them in the reviewer's own.
        form_token: what every form must carry.
    """

    def __init__(
        self,
        material: Material,
        questions: Mapping[Task, Sequence[Question]],
        answers: AnswerFile,
        *,
        reviewer: str,
        form_token: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._material, self._answers, self._reviewer = material, answers, reviewer
        self._form_token, self._clock = form_token, clock
        self._orders = {
            task: in_reviewers_order(questions.get(task, ()), material, reviewer) for task in TASKS
        }
        self._shown_at: dict[tuple[Task, int], float] = {}
        self._templates = templates_in("radflow.review")

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/static/{name:str}", self.static),
                Route("/{task:str}", self.next_page),
                Route("/{task:str}/{number:int}", self.page, methods=["GET"]),
                Route("/{task:str}/{number:int}", self.answer, methods=["POST"]),
                Route("/{task:str}/{number:int}/image/{place:int}", self.image),
            ]
        )

    async def home(self, request: Request) -> Response:
        tasks = [
            {
                "task": task,
                "title": TITLES[task],
                "told": TOLD[task],
                "done": len(order) - len(self._open(task)),
                "total": len(order),
            }
            for task, order in self._orders.items()
        ]
        return self._html("home.html.jinja", tasks=tasks)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404)
        content = files("radflow.review").joinpath("static", name).read_bytes()
        return Response(content, media_type=STATIC[name])

    async def next_page(self, request: Request) -> Response:
        """The first question without an answer; with all answered, the overview."""
        return self._onward(self._task(request), 0)

    async def page(self, request: Request) -> Response:
        task, number, question = self._question(request)
        self._shown_at[task, number] = self._clock()
        given = self._given(question)
        study = self._material.studies[question.study_id]
        return self._html(
            "question.html.jinja",
            task=task,
            title=TITLES[task],
            asked=ASKED[task],
            number=number,
            total=len(self._orders[task]),
            done=len(self._orders[task]) - len(self._open(task)),
            indication=study.indication,
            images=range(1, len(study.images) + 1),
            texts=self._texts(question),
            choices=[(choice, CHOICE_NAMES[choice]) for choice in CHOICES[task]],
            chosen=given.choice if given else None,
            categories=[(name, CATEGORY_NAMES[name], CATEGORY_TOLD[name]) for name in CATEGORIES],
            counts=(given.errors if given else None) or {},
            most_errors=MOST_ERRORS,
            digest=self._material.digest(question),
            form_token=self._form_token,
        )

    async def answer(self, request: Request) -> Response:
        """Keep the answer and go on to the next open question."""
        task, number, question = self._question(request)
        form: Mapping[str, str] = request.scope["form"]
        if form.get("texts") != self._material.digest(question):
            raise HTTPException(409, "This page is of an earlier start of the server: reload it.")
        choice = form.get("choice", "")
        if choice not in CHOICES[task]:
            raise HTTPException(400, "Not an answer to this question.")
        shown_at = self._shown_at.pop((task, number), None)
        given = Answer(
            reviewer=self._reviewer,
            task=task,
            study_id=question.study_id,
            systems=question.systems,
            choice=choice,
            errors=_counts(form) if task == "errors" else None,
            texts=form["texts"],
            seconds=None if shown_at is None else round(self._clock() - shown_at, 1),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        try:
            self._answers.append(given)
        except RadflowError as error:
            raise HTTPException(507, str(error)) from None
        return self._onward(task, number)

    async def image(self, request: Request) -> Response:
        _, _, question = self._question(request)
        images = self._material.studies[question.study_id].images
        place = request.path_params["place"]
        if not 1 <= place <= len(images):
            raise HTTPException(404)
        path = _inside(self._material.root, images[place - 1])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type="image/png")

    def _html(self, template: str, **values: Any) -> HTMLResponse:
        page = self._templates.get_template(template)
        return HTMLResponse(page.render(reviewer=self._reviewer, research_use=RESEARCH_USE, **values))

    def _task(self, request: Request) -> Task:
        task = request.path_params["task"]
        if task not in TASKS:
            raise HTTPException(404)
        return cast(Task, task)

    def _question(self, request: Request) -> tuple[Task, int, Question]:
        task, number = self._task(request), request.path_params["number"]
        if not 1 <= number <= len(self._orders[task]):
            raise HTTPException(404)
        return task, number, self._orders[task][number - 1]

    def _given(self, question: Question) -> Answer | None:
        """The last answer, if the texts are still those that it was given to."""
        given = self._answers.answers.get(question.key)
        return given if given and given.texts == self._material.digest(question) else None

    def _open(self, task: Task) -> list[int]:
        """Numbers of the questions that have no answer yet."""
        order = self._orders[task]
        return [number for number, one in enumerate(order, 1) if self._given(one) is None]

    def _onward(self, task: Task, number: int) -> Response:
        """To the next open question behind this number, else to the first, else to the overview."""
        left = self._open(task)
        following = next((one for one in left if one > number), left[0] if left else None)
        return RedirectResponse("/" if following is None else f"/{task}/{following}", 303)

    def _texts(self, question: Question) -> list[Shown]:
        texts = self._material.shown(question)
        headings = {"criticality": {"": "Report"}}.get(question.task, {"": "Reference"})
        names = ("Report A", "Report B") if len(question.systems) == 2 else ("Report",)
        shown = [Shown(headings[""], texts[""])] if "" in texts else []
        return shown + [
            Shown(name, texts[system]) for name, system in zip(names, question.systems, strict=False)
        ]


def _counts(form: Mapping[str, str]) -> dict[ErrorCategory, tuple[int, int]]:
    """Errors of each category: significant and insignificant ones.

    Raises:
        HTTPException: a field is missing, no whole number or out of bounds.
    """
    found: dict[ErrorCategory, tuple[int, int]] = {}
    for category in CATEGORIES:
        fields = [form.get(f"{category}.{weight}", "") for weight in ("significant", "insignificant")]
        if not all(field.isascii() and field.isdecimal() and len(field) <= 3 for field in fields):
            raise HTTPException(400, "A count of errors is missing.")
        significant, insignificant = map(int, fields)
        if max(significant, insignificant) > MOST_ERRORS:
            raise HTTPException(400, f"More than {MOST_ERRORS} errors of a kind can't be counted.")
        found[category] = (significant, insignificant)
    return found


def _inside(root: Path, name: str) -> Path | None:
    """A PNG file of the run; ``None`` for other files, and for paths that lead out of the run."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        return None
    with path.open("rb") as handle:
        return path if handle.read(len(PNG)) == PNG else None
