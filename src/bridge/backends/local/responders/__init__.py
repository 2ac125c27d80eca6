"""Responders: who decides the next steps of a turn on the embedded service.

The engine hands a responder the whole situation as a `Turn` and turns the steps it yields into a stored, streamed
interaction. A responder knows no HTTP, no database and no other turn.
"""

from .base import Ending, Responder, Turn
from .rules import RuleResponder
from .scripted import ScriptedResponder

__all__ = ["Ending", "Responder", "RuleResponder", "ScriptedResponder", "Turn"]
