"""Relations between the noun phrases of a sentence: where a finding is, what modifies it, what it suggests"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from radflow.clinical.graph_runs import ARTICLES, JOINERS, Link, Run, attach, coordinated, promote, runs_of
from radflow.clinical.graph_words import Item, Words
from radflow.clinical.phrases import Span
from radflow.clinical.report_graph import RelationKind
from radflow.clinical.spans import SentenceSpans

SUGGESTION_REACH = 6
"""Words between "may represent" and what is suggested: articles, unknown adjectives."""


def relate(words: Words, spans: SentenceSpans) -> list[Run]:
    """The runs of a sentence with all relations between its entities among their links."""
    runs = runs_of(words.items, spans.tokens.words, _boundaries(spans))
    reader = _Relations(runs, words, spans)
    reader.link_places()
    reader.locate_forward()
    reader.link_suggestions(words.suggests)
    for index in range(len(runs)):
        reader.link_backward(index)
    return runs


def _boundaries(spans: SentenceSpans) -> frozenset[int]:
    """Tokens at which another statement begins; words beside a verb ("is not", "otherwise are") are none."""
    words = spans.tokens.words
    found = set(spans.openings)
    verbs = {span.last for span in spans.verbs}
    starts = {span.first for span in spans.verbs}
    for cue in spans.cues:
        if cue.name in ("breaks", "negation_before") and cue.first not in verbs and cue.last not in starts:
            found.add(cue.first)
    for start in spans.clause_starts:
        if start.first and words[start.first - 1] in JOINERS:
            found.add(start.first)
    return frozenset(found)


class _Relations:
    """The runs of one sentence while relations between them are found."""

    def __init__(self, runs: list[Run], words: Words, spans: SentenceSpans) -> None:
        self.runs = runs
        self.items: Sequence[Item] = words.items
        self.tokens = spans.tokens.words
        self._verbs = {span.first for span in spans.verbs}
        self._suggests = {span.first for span in words.suggests}
        self._locators = {span.first for span in words.locators}
        self._forward: list[list[Run]] = [[] for _ in runs]  # places that stand behind each run's finding
        self._used: set[int] = set()  # heads of places that are such a place
        self._suggested: set[int] = set()  # findings that another one suggests
        self._subject: dict[int, int] = {}  # run -> the run of the place that it is said of

    def link_places(self) -> None:
        """ "Apex of the left lung", "normal in size": a part or a property of what another run names."""
        for left, right in zip(self.runs, self.runs[1:], strict=False):
            ends_in_place = left.anatomy is not None and left.items[-1] == left.anatomy
            if ends_in_place and right.anatomy is not None and left.zone == right.zone:
                gap = self.tokens[left.last : right.first]
                if gap and gap[0] == "of" and ARTICLES.issuperset(gap[1:]):
                    _link(left, "modify", left.anatomy, right.anatomy)
        for index, run in enumerate(self.runs):
            if run.is_place and self._is_aspect(run) and self.tokens[run.last : run.last + 1] != ["of"]:
                for other in reversed(self.runs[:index]):
                    if other.zone == run.zone and other.anatomy is not None and not self._is_aspect(other):
                        _link(run, "modify", run.anatomy, other.anatomy)
                        break
        for left, right in zip(self.runs, self.runs[1:], strict=False):
            if left.is_place and self.items[left.items[-1]].kind == "place" and self._is_broken(left, right):
                if right.anatomy is not None:  # "left parapneumonic pleural effusion"
                    _link(left, "modify", left.anatomy, right.anatomy)
                else:
                    _link(right, "located_at", right.observation, left.anatomy)
                    right.anatomy = left.anatomy

    def locate_forward(self) -> None:
        """ "Opacity is seen in the right lower lobe", "normal heart", "opacity and effusion at the base"."""
        for index, run in enumerate(self.runs):
            if (
                run.is_aside
                and self._follows_finding(index) is None
                and self._place_behind(index) is not None
            ):
                promote(run, self.items)  # "prominence of the hilum"
        for index in reversed(range(len(self.runs))):
            run = self.runs[index]
            if run.observation is None or run.anatomy is not None:
                continue
            target = self._place_behind(index)
            if target is not None:
                self._forward[index] = [
                    self.runs[target],
                    *coordinated(self.runs, target, 1, self.tokens),
                ]
            elif index + 1 < len(self.runs) and self._forward[index + 1] and self._is_listed(index):
                self._forward[index] = self._forward[index + 1]
            for place in self._forward[index]:
                _link(run, "located_at", run.observation, place.anatomy)
                if place.anatomy is not None:
                    self._used.add(place.anatomy)

    def link_backward(self, index: int) -> None:
        """ "The heart and mediastinum are normal", "effusion is unchanged": said of what stands before."""
        run = self.runs[index]
        if run.is_aside:
            self._settle_aside(index)
        elif run.observation is None:
            if run.pending:  # "small left and moderate right effusions"
                self._settle_aside(index)
        elif run.anatomy is not None:
            if run.items[0] <= run.anatomy and self.items[run.items[0]].kind in ("anatomy", "place"):
                self._locate(run, coordinated(self.runs, index, -1, self.tokens))
        elif not any(map(self._is_part, self._forward[index])):
            self._locate_at_subject(index)  # also "lungs are clear bilaterally"

    def link_suggestions(self, spans: Sequence[Span]) -> None:
        """ "Opacity may represent a or b": from the nearest finding before to each that is suggested."""
        for span in spans:
            source = self._finding_before(span.first)
            if source is None:
                continue
            end = span.last
            for run in self.runs:
                if run.first < span.last or run.observation is None or run is source:
                    continue
                gap = self.tokens[end : run.first]
                is_next = end == span.last and len(gap) <= SUGGESTION_REACH and ";" not in gap
                if not is_next and not (gap and (JOINERS | ARTICLES).issuperset(gap)):
                    break
                _link(source, "suggestive_of", source.observation, run.observation)
                self._suggested.add(run.observation)
                end = run.last

    def _is_broken(self, left: Run, right: Run, reach: int = 1) -> bool:
        """Whether no more than a few unknown words keep a run and the next from being one."""
        between = range(left.last, right.first)
        stops = self._verbs | self._suggests
        words = self.tokens[left.last : right.first]
        return (
            left.zone == right.zone
            and 0 < len(between) <= reach
            and stops.isdisjoint(between)
            and (JOINERS - {","} if reach > 1 else JOINERS | {"of", "in"}).isdisjoint(words)
            and words[0] not in ".;:()"
        )

    def _is_part(self, run: Run) -> bool:
        """Whether a run names more than a side or position."""
        return any(self.items[place].kind == "anatomy" for place in run.items)

    def _is_aspect(self, run: Run) -> bool:
        return all(self.items[place].kind == "aspect" for place in run.items)

    def _is_listed(self, index: int) -> bool:
        """Whether nothing but a comma or "and" stands between a run and the next."""
        gap = self.tokens[self.runs[index].last : self.runs[index + 1].first]
        return bool(gap) and JOINERS.issuperset(gap)

    def _place_behind(self, index: int) -> int | None:
        """The next run if it is where this one's finding is: right behind it, or behind a word like "in"."""
        run = self.runs[index]
        target = index + 1
        while target < len(self.runs) and self.runs[target].is_aside:
            target += 1
        if target == len(self.runs) or self.runs[target].zone != run.zone:
            return None
        place = self.runs[target]
        if place.anatomy is None or self._is_aspect(place):
            return None
        if target == index + 1 and place.first == run.last:
            return target
        gap = range(run.last, self.items[place.anatomy].first)
        if place.observation is not None and place.observation < place.anatomy:
            return None
        stops = any(self.tokens[number] in ",;:" for number in range(run.last, place.first))
        return target if not stops and any(number in self._locators for number in gap) else None

    def _settle_aside(self, index: int) -> None:
        """Modifiers that stand alone modify the finding before them, or say something of a place."""
        run = self.runs[index]
        finding = self._follows_finding(index)
        if finding is not None:
            attach(run, finding)
            return
        following = self.runs[index + 1] if index + 1 < len(self.runs) else None
        if following and following.observation is not None:
            is_listed = not run.is_aside and self._is_listed(index)
            if is_listed:
                _link(run, "modify", run.anatomy, following.anatomy)
            if is_listed or self._is_broken(run, following, reach=3):
                attach(run, following.observation)  # "focal areas of consolidation"
                return
        promote(run, self.items)
        if run.observation is not None and run.anatomy is not None:
            _link(run, "located_at", run.observation, run.anatomy)
        elif run.observation is not None:
            self._locate_at_subject(index)
        elif index and self.runs[index - 1].zone == run.zone and self.runs[index - 1].anatomy is not None:
            attach(run, self.runs[index - 1].anatomy or 0)

    def _follows_finding(self, index: int) -> int | None:
        """The finding of the nearest run before that has one, in the same zone."""
        for other in reversed(self.runs[:index]):
            if other.zone != self.runs[index].zone:
                return None
            if other.observation is not None and other.observation not in self._suggested:
                return other.observation
        return None

    def _locate_at_subject(self, index: int) -> None:
        run = self.runs[index]
        if not index or self.runs[index - 1].zone != run.zone or run.observation in self._suggested:
            return
        before = self.runs[index - 1]
        subject = index - 1
        between = range(before.last, run.first)
        gap = self.tokens[before.last : run.first]
        if not self._suggests.isdisjoint(between):
            return
        if before.observation is not None and JOINERS.isdisjoint(gap) and not self._verbs.isdisjoint(between):
            _link(run, "modify", run.observation, before.observation)  # "the tube has been removed"
            return
        if before.observation is not None:  # "are expanded and clear": of the same subject
            if index - 1 not in self._subject or "," in gap or JOINERS.isdisjoint(gap):
                return
            subject = self._subject[index - 1]
        place = self.runs[subject]
        if not place.is_place or place.anatomy in self._used:
            return
        self._subject[index] = subject
        self._locate(run, [place, *coordinated(self.runs, subject, -1, self.tokens)])

    def _locate(self, run: Run, places: Iterable[Run]) -> None:
        for place in places:
            if place.anatomy not in self._used:
                _link(run, "located_at", run.observation, place.anatomy)

    def _finding_before(self, token: int) -> Run | None:
        for run in reversed(self.runs):
            if run.last <= token and run.observation is not None:
                return None if ";" in self.tokens[run.last : token] else run
        return None


def _link(run: Run, kind: RelationKind, source: int | None, target: int | None) -> None:
    if source is not None and target is not None and source != target:
        link: Link = (kind, source, target)
        if link not in run.links:
            run.links.append(link)
