"""An id as the name of a file or folder: any id gives a usable one, and different ids different ones"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

MAX_NAME = 200
"""File systems allow 255 bytes; an escaped letter of another script takes 6 to 12."""


def file_name(record_id: str) -> str:
    """The id with all but letters, digits and ``_.-~`` escaped; a hash where that is no usable file name."""
    name = quote(record_id, safe="", errors="replace")
    is_usable = name.strip(".") and len(name) <= MAX_NAME
    return name if is_usable else hashlib.sha256(record_id.encode(errors="replace")).hexdigest()
