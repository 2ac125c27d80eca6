"""One line of a compiled tool's report, and which keywords get one. Plain data."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["ANNOTATIONS", "REPORTED", "Action", "Row"]

Action = Literal["kept", "ignored", "rewritten", "refused"]
"""What becomes of a keyword: sent as it is; not enforced by the vendor; sent in another form; not possible."""

# Keywords that say something to people and nothing about what is valid.
ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment"}
)
# Keywords that vendors differ in, so that a report names each. Not: what every vendor takes as it is.
REPORTED = frozenset(
    {
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "contains",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "default",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "if",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "patternProperties",
        "prefixItems",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
        "$ref",
    }
)


class Row(NamedTuple):
    """What becomes of one keyword of one tool.

    `path` is the JSON pointer, from the root of the argument schema, of the place where `keyword` stands ("" is the root).
    `lossy`: what the model may then answer is not what the schema says; the answer is checked against the schema in any case.
    """

    tool: str
    path: str
    keyword: str
    action: Action
    why: str
    lossy: bool = False

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"tool {self.tool!r}: {self.keyword}{where} is {self.action}: {self.why}"
