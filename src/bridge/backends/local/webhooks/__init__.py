"""Webhooks of the embedded service: who wants to be told (`registry`), how a delivery is signed (`signing`), how it arrives (`delivery`)."""

from .delivery import Webhooks

__all__ = ["Webhooks"]
