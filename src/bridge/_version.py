"""The version of this distribution, for those who are told it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["installed_version"]


def installed_version() -> str:
    """As it was installed."""
    try:
        return version("interactions-bridge")
    except PackageNotFoundError:
        return "(not installed)"
