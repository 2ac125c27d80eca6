"""JSON Schemas on their way to a vendor: read once (`reading`), then rewritten by a vendor's steps (`steps`), with a report.

It knows nothing of tools, names or vendors: a dialect brings its own list of steps.
"""

from .reading import Place, read
from .report import Action, Row
from .walking import Compiling, Step, Steps, compiled

__all__ = ["Action", "Compiling", "Place", "Row", "Step", "Steps", "compiled", "read"]
