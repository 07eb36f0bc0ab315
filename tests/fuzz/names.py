"""Names of the targets, without importing what they test: atheris instruments it when it is first imported"""

from __future__ import annotations

NAMES = (
    *("sections", "labeler", "graph", "consistency", "metrics", "reward", "judge"),
    *("config", "ontology", "json_lines", "tables", "parquet", "json_files", "xml", "tgz", "dicom", "photo"),
)
