"""Answers: from the events of a turn to what LangChain shows of it.

One path for all: `pieces` says what an event adds to LangChain's standard blocks, `chunks` puts that into message chunks, `protocol`
into the events of LangChain's streaming protocol. An unstreamed interaction is told as the events of its stream first, and its
chunks are merged, so that every way ends in the same message. Whose events they are and who receives them is left to `chat`.
"""

from .blocks import blocks_of
from .chunks import Chunks, events_of, message_of, tidied
from .outcome import metadata_of, raise_if_failed, usage_of
from .protocol import ProtocolEvents

__all__ = [
    "Chunks",
    "ProtocolEvents",
    "blocks_of",
    "events_of",
    "message_of",
    "metadata_of",
    "raise_if_failed",
    "tidied",
    "usage_of",
]
