"""Records of version 1, which had no version: read as what they would be now."""

from __future__ import annotations

from typing import Any

# Beginning of the status in version 1, and what it is now; "ok" stayed.
STATUSES = {"mismatch": "failed_accuracy", "unavailable": "unavailable", "error": "failed"}


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Fields of version 2 from those of version 1; what that did not measure is left to its default.

    Args:
        content: One JSON object, without `schema_version`.
    """
    load_average = content.get("load_average")
    renamed = {name: value for name, value in content.items() if name != "load_average"}
    status, _, reason = str(content.get("status", "")).partition(": ")
    renamed["status"] = STATUSES.get(status, status)
    renamed["reason"] = reason or None
    peak = content.get("peak_rss_mib")
    if peak is not None:
        renamed["memory"] = {"rss_before_mib": None, "rss_loaded_mib": None, "peak_rss_mib": peak, "gpu_mib": None}
    if load_average is not None:
        # Version 1 kept no single times, so neither their spread nor a verdict is known.
        renamed["absent"] = {"noise": f"record of version 1, load average {load_average}"}
    return renamed
