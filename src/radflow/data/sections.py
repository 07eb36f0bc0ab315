"""Report text -> Findings, Impression and the other sections, never guessed from a word in a sentence.

A header counts only by its form: at the start of a line with a colon (any case), a dash or markup, alone on
its line, or in capitals. In mid line it needs a colon, and capitals or the end of a sentence before it
(without capitals only for Findings and Impression, or in a report on one line). A mid-line header yields to a
header of the same section at a line start, so that a report quoted inside a section stays there.
Every pattern is bounded, so the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import ValidationError

from radflow.data.section_headers import COMBINED, Vocabulary, vocabulary_of, words
from radflow.records import FoundBy, Report

_CORE = frozenset({"findings", "impression", COMBINED})

PREAMBLE = "preamble"
UNLABELLED = "unlabelled"  # text after a closing tag


class Segment(NamedTuple):
    """One section as it stands: ``header + body`` is exactly ``text[start:end]``.

    Attributes:
        name: canonical name; "preamble" before the first header, "unlabelled" after a closing tag.
        header: the header with its markup and punctuation; empty for the preamble.
        body: everything up to the next header, white space and markup included.
        start, end: character offsets; the segments of a text partition it.
        found_by: how the header was recognised; "none" for text without one.
    """

    name: str
    header: str
    body: str
    start: int
    end: int
    found_by: FoundBy


class _Header(NamedTuple):
    start: int
    end: int
    name: str
    found_by: FoundBy


_VIEW_WORDS = words(
    """CHEST CXR PORTABLE AP PA LATERAL LAT FRONTAL VIEW VIEWS RADIOGRAPH RADIOGRAPHS RADIOGRAPHIC RAY XRAY X
    FILM FILMS SINGLE ONE TWO THREE FOUR 1 2 3 4 UPRIGHT SUPINE SEMI SEMIUPRIGHT SEMIERECT ERECT BEDSIDE AND
    OF THE ON WITH DATED PERFORMED EXAMINATION STUDY DECUBITUS OBLIQUE DUAL"""
)
_VIEW_ANCHORS = words("CHEST CXR VIEW VIEWS RADIOGRAPH RADIOGRAPHS FILM FILMS")

# A would-be header after one of these belongs to the sentence: "see IMPRESSION:", "clinical\nimpression:".
_SENTENCE_WORDS = words(
    """a an the this that these those my our your their his her its no not any all both each other another and
    or of for in on at to from with without per by see under above below following clinical previous prior old
    initial earlier physical radiographic incidental significant pertinent relevant additional new main key
    overall general is are was were be has have had as than but"""
)

_LINE = re.compile(r"^([#>*_ •\ufeff\[-]*)([^\W_][^:\n]{0,79})(:?)", re.MULTILINE)
_LIST_NUMBER = re.compile(r"\d{1,2}[.)] *")
_AFTER_HEADER = re.compile(r"\**(?:-(?=\s|\Z))?")  # "**Impression:**", "IMPRESSION:-"
_LAST_WORD = re.compile(r"([^\W\d_]+)[ \n]*\Z")
_PLAIN_WORD = re.compile(r"[^\W\d_]{2,}")
_SECTION_TAG = re.compile(
    r"<(/?)(findings?|impressions?|conclusion|indication|history|comparison|technique|recommendations?)>",
    re.IGNORECASE,
)
_INLINE_MARKUP = re.compile(
    r"\*{2,}|</?(?:findings?|impressions?|conclusion|indication|history|comparison|technique|recommendations?|report|"
    r"answer|b|i|u|s|em|strong|span)>",
    re.IGNORECASE,
)
_BREAK_TAG = re.compile(
    r"</?(?:br ?/?|p|div|ul|ol|li|h[1-6])>", re.IGNORECASE
)  # "for<BR>metastatic": two words
_HEADING_MARKS = re.compile(r"^[^\S\n]*(?:#+(?:[^\S\n]+|$))+", re.MULTILINE)
_RULE_ABOVE = re.compile(r"\A[-=~]{3,}\s*\n")  # Findings underlined with ----
_RULE_BELOW = re.compile(r"\n[ \t]*[-=~]{3,}\Z")
_HAS_WORD = re.compile(r"\w")
_NOTHING_SAID = re.compile(r":\s*(?:none|nan|null|n/a)\Z", re.IGNORECASE)  # "Findings: None Impression: ..."
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")


def _is_view_title(phrase: str) -> bool:
    """Whether the phrase names a view in capitals (CHEST, TWO VIEWS); of four words one may be unknown."""
    if not phrase.isupper():
        return False
    words = re.findall(r"\w+", phrase)
    known = sum(word in _VIEW_WORDS for word in words)
    return not _VIEW_ANCHORS.isdisjoint(words) and len(words) - known <= (1 if len(words) >= 4 else 0)


def _is_prose(body: str) -> bool:
    """A view title is followed by a date or a mask as often as by findings: those are two words at least."""
    return len(_PLAIN_WORD.findall(body[:400])) >= 2


def _continues_sentence(plain: str, position: int) -> bool:
    """Whether the text before a would-be header runs on into it ("the clinical\\nimpression: ...")."""
    before = plain[max(0, position - 24) : position]
    last = _LAST_WORD.search(before)
    return last is not None and last[1].lower() in _SENTENCE_WORDS and "\n\n" not in before[last.end(1) :]


def _line_headers(plain: str, vocabulary: Vocabulary) -> list[_Header]:
    """Headers at line starts, in order of position."""
    headers: list[_Header] = []
    for match in _LINE.finditer(plain):
        lead, phrase, colon = match.groups()
        if colon and not lead and phrase.isupper() and (found := vocabulary.read(phrase)):  # most headers
            headers.append(_Header(match.start(), _end_of_header(plain, match.end()), *found))
            continue
        mark = lead.strip(" \ufeff")
        if mark and (mark.strip("-•") == "" or "___" in mark):  # a bullet, or a mask, opens text
            continue
        is_open = bool(headers) and headers[-1].name in _CORE
        header = _read_line(plain, match, mark, phrase, bool(colon), is_open, vocabulary)
        if header is not None:
            headers.append(header)
    return headers


def _read_line(
    plain: str,
    match: re.Match[str],
    mark: str,
    phrase: str,
    has_colon: bool,
    is_open: bool,
    vocabulary: Vocabulary,
) -> _Header | None:
    end = match.end()
    if mark and phrase[0].isdigit():
        phrase = _LIST_NUMBER.sub("", phrase, count=1)  # "## 1. Findings"
    if mark.endswith("[") and "]" in phrase:  # "[IMPRESSION] text"
        end = match.start(2) + match[2].index("]") + 1
        found = vocabulary.read(phrase[: phrase.index("]")])
        end += plain[end : end + 1] == ":"
        return _Header(match.start(), end, *found) if found else None
    is_alone = has_colon or plain[end : end + 1] in ("", "\n")
    if is_alone and len(phrase) <= 48:
        found = vocabulary.read(phrase)
        if found and (has_colon or mark or not phrase.islower() or _follows_blank(plain, match.start())):
            is_certain = bool(mark) or (has_colon and phrase.isupper())
            if not is_certain and _continues_sentence(plain, match.start()):
                return None
            return _Header(match.start(), _end_of_header(plain, end), *found)
    if has_colon and not is_open and _is_view_title(phrase):
        return _Header(match.start(), end, "findings", "view_title")
    return _read_bare(plain, match, mark, vocabulary)


def _end_of_header(plain: str, end: int) -> int:
    trailing = _AFTER_HEADER.match(plain, end) if plain[end : end + 1] in ("*", "-") else None
    return trailing.end() if trailing else end


def _follows_blank(plain: str, start: int) -> bool:
    before = plain[max(0, start - 24) : start].rstrip(" ")
    return before in ("", "\n") or before.endswith("\n\n")


def _read_bare(plain: str, match: re.Match[str], mark: str, vocabulary: Vocabulary) -> _Header | None:
    """A header before text without a colon: with a dash, in bold, or in capitals before mixed case."""
    start = match.start(2)
    bare = vocabulary.bare.match(plain, start, start + 200)
    if bare is None:
        return None
    name, separator = bare[1], plain[bare.end(1) : bare.end()]
    rest = plain[bare.end() : bare.end() + 80].partition("\n")[0]
    is_bold = "*" in mark and separator.startswith("*")
    is_caps = name.isupper() and rest[:1] == rest[:1].upper() and rest != rest.upper()
    is_dashed = separator[:1] == " " and separator.strip(" ") != "" and not name.islower()
    if not (is_bold or is_caps or is_dashed) or _continues_sentence(plain, match.start()):
        return None
    found = vocabulary.read(name)
    return _Header(match.start(), bare.end(), *found) if found else None


def _inline_headers(plain: str, at_line_start: set[str], vocabulary: Vocabulary) -> list[_Header]:
    """Headers in mid line ("FINDINGS: clear. IMPRESSION: normal."), by the rules of the module docstring."""
    headers = []
    is_one_line = "\n" not in plain.strip()
    for match in vocabulary.inline.finditer(plain):
        found = vocabulary.read(match[1])
        if found is None or not at_line_start.isdisjoint(_fills(found[0])):
            continue
        start = match.start()
        before = plain[max(0, start - 24) : start].rstrip(" *_\n")
        if start and plain[start - 1] not in " *_\n.;!?>。；":
            continue
        ends_sentence = before[-1:] in tuple(".;!?>。；") or _NOTHING_SAID.search(before) is not None
        if (ends_sentence and (is_one_line or found[0] in _CORE)) or (
            match[1].isupper() and not _continues_sentence(plain, start)
        ):
            end = plain.index(":", match.end()) + 1
            headers.append(_Header(start, _end_of_header(plain, end), *found))
    return headers


def _tag_headers(plain: str, vocabulary: Vocabulary) -> list[_Header]:
    """<findings> opens a section, </findings> closes it."""
    headers = []
    for match in _SECTION_TAG.finditer(plain):
        found = (UNLABELLED, "none") if match[1] else vocabulary.read(match[2])
        if found:
            headers.append(_Header(match.start(), match.end(), found[0], "none" if match[1] else "header"))
    return headers


def _fills(name: str) -> tuple[str, ...]:
    return ("findings", "impression") if name == COMBINED else (name,)


def _headers(text: str, vocabulary: Vocabulary) -> list[_Header]:
    # replacements keep every offset, so that spans found here cut the original text
    plain = (
        text.replace("\r\n", " \n")
        .replace("\r", "\n")
        .replace("\t", " ")
        .replace("\xa0", " ")
        .replace("：", ":")
    )
    headers = _line_headers(plain, vocabulary)
    if "<" in plain:
        headers += _tag_headers(plain, vocabulary)
    at_line_start = {filled for header in headers for filled in _fills(header.name)}
    if plain.count(":") > len(headers):
        headers += _inline_headers(plain, at_line_start, vocabulary)
    headers.sort()
    kept: list[_Header] = []
    for header in headers:
        if not kept or header.start >= kept[-1].end:
            kept.append(header)
    return kept


def segments(text: str, *, headers: Mapping[str, str] | None = None) -> list[Segment]:
    """The sections of the text in order; their spans partition it. Empty for an empty text."""
    return _segments(text, vocabulary_of(tuple(sorted(headers.items())) if headers else ()))


def _segments(text: str, vocabulary: Vocabulary) -> list[Segment]:
    found = _headers(text, vocabulary)
    result = []
    first = found[0].start if found else len(text)
    if first:
        result.append(Segment(PREAMBLE, "", text[:first], 0, first, "none"))
    for number, header in enumerate(found):
        end = found[number + 1].start if number + 1 < len(found) else len(text)
        head, body = text[header.start : header.end], text[header.end : end]
        result.append(Segment(header.name, head, body, header.start, end, header.found_by))
    return result


def _without_markup(body: str) -> str:
    if "*" in body or "<" in body:
        body = _BREAK_TAG.sub(" ", body)
        for joint in ("", " "):  # a removal can put new markup together ("<<b>b>"): then leave a gap
            body = _INLINE_MARKUP.sub(joint, body)
            if not _INLINE_MARKUP.search(body):
                break
    return _HEADING_MARKS.sub("", body) if "#" in body else body


def _section_text(body: str, *, none_is_absent: bool = True) -> str | None:
    """The body without markup and outer white space, ``None`` when it says nothing."""
    body = _without_markup(body).strip()
    if body[:1] in "-=~":
        body = _RULE_ABOVE.sub("", body, count=1).strip()
    if body[-1:] in "-=~":
        body = _RULE_BELOW.sub("", body).strip()
    if len(body) <= 5:  # "None.", "NaN", "n/a", "null"
        word = body.rstrip(".").lower()
        if word in {"nan", "null", "n/a"} or (none_is_absent and word == "none"):
            return None
    return body if _HAS_WORD.search(body) else None


def parse_report(
    text: str | None,
    *,
    fallback: Literal["none", "last_paragraph"] = "none",
    headers: Mapping[str, str] | None = None,
) -> Report:
    """Read the sections of a report; never raises, and leaves absent what has no header.

    Of a section that occurs more than once the last non-empty one counts, so corrections and addenda win.
    "None", "NaN", "N/A" and bodies without a letter, digit or mask are absent; "Comparison: None." stays, as
    it says that there was nothing to compare with.

    Args:
        text: the report; ``None`` reads like an empty one.
        fallback: "none" never guesses. "last_paragraph" is the rule of the official MIMIC-CXR code: with
            neither section found, what follows the first blank line of the last section is the Impression.
        headers: further header phrases (other languages, house style) with the canonical section they open,
            compared in upper case; they also override the built-in ones.
    """
    text = text or ""
    parts = _segments(text, vocabulary_of(tuple(sorted(headers.items())) if headers else ()))
    texts: dict[str, str] = {}
    found_by: dict[str, FoundBy] = {}
    for part in parts:
        if part.found_by == "view_title" and found_by.get("findings", "view_title") != "view_title":
            continue
        for name in _fills(part.name):
            body = _section_text(part.body, none_is_absent=name in {"findings", "impression"})
            if body is None or (part.found_by == "view_title" and not _is_prose(body)):
                continue
            texts[name], found_by[name] = body, part.found_by
    if fallback == "last_paragraph" and parts and "findings" not in texts and "impression" not in texts:
        _take_last_paragraph(parts[-1], texts, found_by)
    fields = {
        "text": text,
        "findings": texts.pop("findings", None),
        "impression": texts.pop("impression", None),
        "other": texts,
        "findings_found_by": found_by.get("findings", "none"),
        "impression_found_by": found_by.get("impression", "none"),
    }
    try:
        return Report.model_validate(fields)
    except ValidationError:  # of the lone surrogates that broken decoders leave behind; nothing else can fail
        return Report.model_construct(**fields)  # type: ignore[arg-type]


def _take_last_paragraph(last: Segment, texts: dict[str, str], found_by: dict[str, FoundBy]) -> None:
    body = last.body.strip()
    blank = _BLANK_LINE.search(body)
    paragraph = _section_text(body[blank.end() :]) if blank else None
    if blank is None or paragraph is None:
        return
    texts["impression"], found_by["impression"] = paragraph, "fallback"
    texts.pop(last.name, None)
    before = _section_text(body[: blank.start()], none_is_absent=False)
    if before is not None and last.name not in _CORE:
        texts[last.name] = before


def _one_line(body: str | None) -> str | None:
    """Section text on one line, as a rendered report holds it; ``None`` when it says nothing."""
    cleaned = _section_text(body or "")
    return _section_text(" ".join(cleaned.split())) if cleaned else None


def report_from_fields(*, findings: str | None, impression: str | None) -> Report:
    """A report whose sections the source keeps apart: columns, XML labels, a generator."""
    return Report(
        text=render_report(findings=findings, impression=impression),
        findings=findings,
        impression=impression,
        findings_found_by="field" if findings else "none",
        impression_found_by="field" if impression else "none",
    )


def render_report(*, findings: str | None, impression: str | None) -> str:
    """The canonical text "FINDINGS: ...\\nIMPRESSION: ..." that the policy learns to write.

    Absent sections are left out. ``parse_report`` gives the same sections back up to white space: runs of it
    fold to single spaces, and where words inside a section would be read as a header, a space before their
    colon ("IMPRESSION :") prevents it.
    """
    bodies = {"findings": _one_line(findings), "impression": _one_line(impression)}
    text = _join(bodies)
    if any(segment.body.strip() != bodies.get(segment.name) for segment in segments(text)):
        inline = vocabulary_of(()).inline
        text = _join({name: body and inline.sub(r"\1 ", body) for name, body in bodies.items()})
    return text


def _join(bodies: Mapping[str, str | None]) -> str:
    return "\n".join(f"{name.upper()}: {body}" for name, body in bodies.items() if body)
