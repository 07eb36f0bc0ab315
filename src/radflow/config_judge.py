"""Settings of who judges: the language model, its server and limits, and who calls studies critical."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from radflow.config_types import DataPath, Fraction, ModelName, Section


def host_of(url: str) -> str:
    """The host that an http(s) URL names.

    Raises:
        ValueError: not such a URL, or one that libraries may read in different ways; the URL isn't repeated,
            as it may hold a password.
    """
    if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", url, re.ASCII):
        raise ValueError("must look like http://HOST:PORT/v1, without user, password, query or spaces")
    parts = urlsplit(url)
    if not parts.hostname or (parts.port is not None and not parts.port):
        raise ValueError("names no host or port")
    return parts.hostname


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine: localhost, 127.0.0.0/8 or ::1, in their plain notations only."""
    host = host_of(url)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class JudgeConfig(Section):
    base_url: str = Field(
        "http://127.0.0.1:8080/v1",
        description="OpenAI-compatible server: vLLM, llama.cpp, Ollama, remote.",
    )
    model: str = Field(
        "local",
        min_length=1,
        description="The server's name of the model; kept answers are found by it: one name, one model.",
    )
    allow_remote: bool = Field(
        False, description="Let report text leave this machine, to a base_url that is not loopback."
    )
    scrub: bool = Field(
        True,
        description="Hide names, dates and numbers from a server that is not loopback, by radflow scrub.",
    )
    scrub_rules: tuple[ModelName, ...] = Field(
        ("en", "de"), description="By which rules: en, de, or .yaml files of your own (./ or / in front)."
    )
    api_key_env: str = Field(
        "RADFLOW_JUDGE_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the API key; unset: no key is sent that means anything.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed sent with every question; temperature is 0.")
    max_tokens: int = Field(
        512,
        ge=1,
        le=32768,
        description="Tokens of an answer at most, per candidate; counted errors get 4 times as many.",
    )
    concurrency: int = Field(16, ge=1, le=512, description="Requests under way at once, per process.")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Requests in any 60 seconds at most, per process; null has no limit."
    )
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        description="Tokens in any 60 seconds at most, per process, counted as characters / 3 + max_tokens.",
    )
    timeout_s: float = Field(60.0, gt=0, le=3600, description="Time limit of one request, seconds.")
    retries: int = Field(
        5, ge=0, le=20, description="Further tries after 408, 409, 429, 5xx, a lost connection or a timeout."
    )
    backoff_s: float = Field(
        0.5, gt=0, le=60, description="Longest first pause before a retry, seconds; doubles each time."
    )
    backoff_max_s: float = Field(
        30.0, gt=0, le=600, description="Longest pause before a retry that the server did not ask for."
    )
    retry_after_max_s: float = Field(
        120.0, ge=0, le=3600, description="A server that asks for a longer pause than this stops the run."
    )
    breaker_window: int = Field(
        50, ge=2, le=10_000, description="The run stops when too many of the last so many questions failed."
    )
    breaker_share: float = Field(
        0.5, gt=0, le=1, description="Share of failures among them that stops the run."
    )
    prompt_price: float = Field(0.0, ge=0, description="Price of a million prompt tokens, any currency.")
    completion_price: float = Field(0.0, ge=0, description="Price of a million answer tokens, same currency.")
    cache: DataPath | None = Field(
        None, description="Folder of kept answers, shared by runs and processes; null: in the run folder."
    )

    @model_validator(mode="after")
    def _keep_reports_here(self) -> JudgeConfig:
        try:
            stays_here = is_loopback(self.base_url)
        except ValueError as error:
            raise ValueError(f"judge.base_url {error}") from None
        if not (stays_here or self.allow_remote):
            raise ValueError(
                "judge.base_url is not on this machine, and report text is patient data; "
                "say judge.allow_remote: true if it may be sent there"
            )
        return self

    @property
    def scrubs(self) -> bool:
        """Whether texts are scrubbed before the judge sees them."""
        return self.scrub and not is_loopback(self.base_url)


class AnnotateConfig(Section):
    judge: Literal["rules", "judge"] = Field(
        "rules", description="Who decides which studies are critical: rules, or the model of judge.*."
    )
    second_judge: Literal["rules", "judge"] | None = Field(
        None, description="A second one beside it, for their agreement; its verdicts decide nothing."
    )
    ontology: ModelName = Field(
        "chest-xray",
        description="What the rules read by: chest-xray, carotid-ultrasound, or a .yaml (./ or / in front).",
    )
    levels: tuple[Literal["critical", "urgent"], ...] = Field(
        ("critical",), min_length=1, description="Which levels of the rules count as critical."
    )
    flip_rate: Fraction = Field(
        0.0, description="Share of the verdicts turned round at random, to study a triage that errs."
    )
    false_positive_rate: Fraction = Field(
        0.0, description='Share of the verdicts "not critical" turned round at random, for the same purpose.'
    )
    false_negative_rate: Fraction = Field(
        0.0, description='Share of the verdicts "critical" turned round at random, for the same purpose.'
    )

    @model_validator(mode="after")
    def _two_judges(self) -> AnnotateConfig:
        if self.second_judge == self.judge:
            raise ValueError(f"second_judge is {self.judge} too; leave it out, or name the other one")
        return self

    @model_validator(mode="after")
    def _one_kind_of_noise(self) -> AnnotateConfig:
        if self.flip_rate and (self.false_positive_rate or self.false_negative_rate):
            raise ValueError(
                "flip_rate turns verdicts of both kinds, so that beside it false_positive_rate and "
                "false_negative_rate would not be what they say; set only one sort"
            )
        return self

    @property
    def asks_model(self) -> bool:
        """Whether a language model decides anything."""
        return "judge" in (self.judge, self.second_judge)
