"""Settings of the data: source, sections, split, images; and of each source that has its own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from radflow.config_types import DataPath, Fraction, Positive, Section
from radflow.records import SectionName

CAROTID_IMAGES = 4
"""Pictures of a carotid phantom at most: B-mode and Doppler, right and left."""


class SplitConfig(Section):
    method: Literal["auto", "source", "r2gen", "ids", "seeded"] = Field(
        "auto",
        description="Where the split comes from: the source itself, an R2Gen annotation.json, a file of ids, "
        "or a seeded draw of patients; auto takes the source's own split if it has one, else seeded.",
    )
    file: DataPath | None = Field(
        None, description="annotation.json for r2gen; for ids a CSV or JSONL with the columns id and split."
    )
    validation: Fraction = Field(0.1, description="Share of patients for validation (seeded).")
    test: Fraction = Field(0.2, description="Share of patients for the test (seeded).")

    @model_validator(mode="after")
    def _check(self) -> SplitConfig:
        if self.method in ("r2gen", "ids") and self.file is None:
            raise ValueError(f"split.method {self.method} needs split.file")
        if self.validation + self.test >= 1:
            raise ValueError("split.validation and split.test leave nothing for training")
        return self


class SectionsConfig(Section):
    fallback: Literal["none", "last_paragraph", "judge"] = Field(
        "none",
        description="What to do with a report that has neither header: nothing, take its last paragraph "
        "as Impression as MIMIC-CXR's own scripts do, or ask the judge; which one was used is recorded.",
    )

    headers: dict[str, SectionName] = Field(
        {},
        description="Further section headers, of another language or a house style, with the section each "
        "opens: {Befund: findings, Beurteilung: impression}; case doesn't matter. See docs/languages.md.",
    )

    @property
    def of_parser(self) -> Literal["none", "last_paragraph"]:
        """The share of it that the rule parser does by itself."""
        return "last_paragraph" if self.fallback == "last_paragraph" else "none"


class PhantomsConfig(Section):
    modality: Literal["chest", "carotid"] = Field(
        "chest",
        description="Chest radiographs, or carotid duplex examinations of two to four pictures; these need "
        "the ontology carotid-ultrasound in all stages.",
    )
    train: Positive = Field(3000, description="Phantom studies for training.")
    validation: Positive = Field(200, description="Phantom studies for validation.")
    test: Positive = Field(300, description="Phantom studies for the test.")
    size: int = Field(64, ge=32, le=2048, description="Side of the square phantom images, pixels.")
    lateral: bool = Field(False, description="Add a lateral view to each chest study.")
    observations: tuple[str, ...] = Field(
        (), description="Findings that may occur in chest studies; empty means all that the generator knows."
    )
    doppler: Fraction = Field(
        0.9,
        description="Share of a carotid study's sides with a Doppler panel; without one no velocity is told.",
    )


class MimicConfig(Section):
    sections: Literal["official", "radflow"] = Field(
        "official",
        description="Whose rules find Findings and Impression: those of MIMIC-CXR's own scripts, which most "
        "publications rest on, or radflow's, which find more (combined and inline headers).",
    )


class TableConfig(Section):
    id_column: str = Field("id", description="Column with the unique study id.")
    report_column: str | None = Field(
        "report", description="Column with the whole report; null if in sections."
    )
    findings_column: str | None = Field(None, description="Column with the Findings, if they stand apart.")
    impression_column: str | None = Field(None, description="Column with the Impression, if it stands apart.")
    image_columns: tuple[str, ...] = Field(
        ("image",), description="Columns with image paths, relative to the table; a cell may hold a list."
    )
    image_separator: str = Field(";", description="What separates several paths in one cell.")
    patient_column: str | None = Field(
        None, description="Column with the patient id (no leak across splits)."
    )
    split_column: str | None = Field(None, description="Column with train, validation or test.")
    indication_column: str | None = Field(
        None, description="Column with the indication, shown in the prompt."
    )
    comparison_column: str | None = Field(
        None, description="Column with the comparison, shown in the prompt."
    )


class DataConfig(Section):
    source: str = Field("phantoms", description="Data source by name: phantoms, iu_xray, mimic_cxr or table.")
    root: DataPath | None = Field(
        None, description="Folder of the data set, or the table file; ${ENV} is expanded. Phantoms need none."
    )
    images: DataPath | None = Field(None, description="Folder of the images if it is not found below root.")
    views: Literal["frontal", "all"] = Field("frontal", description="Which views a study keeps, if known.")
    max_images: int = Field(1, ge=1, le=8, description="Images a study at most, frontal views first.")
    image_long_side: int = Field(
        512, ge=32, le=4096, description="Prepared images are scaled down to this long side, pixels."
    )
    require: Literal["any", "findings", "impression", "both"] = Field(
        "any", description="Sections a reference must have; studies without are left out and listed."
    )
    limit: int | None = Field(None, ge=1, description="Use only the first so many studies of the source.")
    allow_missing_preamble: bool = Field(
        False, description="Read DICOM files without preamble and file meta."
    )
    sections: SectionsConfig = Field(SectionsConfig(), description="How reports are cut into sections.")
    split: SplitConfig = Field(
        SplitConfig(), description="How studies are divided; known patients never straddle."
    )
    phantoms: PhantomsConfig = Field(PhantomsConfig(), description="Settings of the phantom source.")
    mimic: MimicConfig = Field(MimicConfig(), description="Settings of the MIMIC-CXR source.")
    table: TableConfig = Field(TableConfig(), description="Column names of the table source.")

    @model_validator(mode="after")
    def _refuse_headers_that_nobody_reads(self) -> DataConfig:
        by_own_rules = self.source == "mimic_cxr" and self.mimic.sections == "official"
        if self.sections.headers and (by_own_rules or self.source in ("phantoms", "iu_xray")):
            hint = "; set data.mimic.sections: radflow" if by_own_rules else ", whose sections stand apart"
            raise ValueError(f"sections.headers does nothing with source {self.source} as it is set{hint}")
        return self

    @model_validator(mode="after")
    def _refuse_what_phantoms_ignore(self) -> DataConfig:
        if self.source != "phantoms":
            return self
        if self.limit is not None:
            raise ValueError(
                "limit would cut off whole splits of the phantoms; instead of it use "
                "data.phantoms.train, data.phantoms.validation and data.phantoms.test"
            )
        if self.phantoms.modality == "carotid":
            self._refuse_what_carotids_ignore()
        if self.phantoms.lateral and (self.views != "all" or self.max_images < 2):
            raise ValueError(
                "phantoms.lateral does nothing without data.views: all and data.max_images: 2 or more"
            )
        return self

    def _refuse_what_carotids_ignore(self) -> None:
        if self.phantoms.lateral or self.phantoms.observations:
            raise ValueError("phantoms.lateral and phantoms.observations are for modality: chest")
        if self.max_images < CAROTID_IMAGES:
            raise ValueError(
                f"max_images is {self.max_images}, and a carotid study has up to {CAROTID_IMAGES} "
                f"pictures, on all of which its report tells; set data.max_images: {CAROTID_IMAGES}"
            )
