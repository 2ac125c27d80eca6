"""What the stand-ins for other vendors' services share: a conversation answered by a responder, and the app around it.

An adapter's `testing` module speaks its vendor's wire on top of this. It knows no vendor itself; nothing here is kept but the
requests that came in.
"""

from ..turns.events import json_pieces, pieces_of
from ..turns.record import new_call_id
from .answering import Answering, conversation, seal
from .app import DONE, Event, Refused, Reply, Sent, StandIn, Vendor

__all__ = [
    "DONE",
    "Answering",
    "Event",
    "Refused",
    "Reply",
    "Sent",
    "StandIn",
    "Vendor",
    "conversation",
    "json_pieces",
    "new_call_id",
    "pieces_of",
    "seal",
]
