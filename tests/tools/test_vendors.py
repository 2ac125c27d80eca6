"""What is compiled, against the request types of the vendors' own packages: definitions, native tools, and 281 tools of real servers."""

from __future__ import annotations

import json
import random
from typing import Any

import mcp_types
import pytest
from anthropic.types import ToolParam
from anthropic.types.beta import BetaRequestMCPServerURLDefinitionParam, BetaToolUnionParam
from google.genai._gaos.types.interactions.tool import ToolParam as InteractionsToolParam
from openai.types.responses import ToolParam as OpenAIToolParam
from openai.types.responses.function_tool_param import FunctionToolParam
from pydantic import TypeAdapter

from bridge._adapters import FOUND
from bridge.errors import InvalidRequest, NotConfigured, ToolRefused
from bridge.tools import (
    CodeExecution,
    Compiled,
    ComputerUse,
    FileSearch,
    RemoteMCP,
    Row,
    Tools,
    UrlContext,
    WebSearch,
)
from tests.tools.schemas import AWKWARD, DATA, MODES, mode_name, of, schema_of
from tests.tools.test_schemas import fits

SERVERS: list[dict[str, Any]] = json.loads((DATA / "servers.json").read_text())
MODE_NAMES = [mode_name(*mode) for mode in MODES]

# The vendors' types of one tool. Those of Anthropic's and OpenAI's functions are checked alone: in their unions a wrong function may
# pass as something else.
FUNCTIONS: dict[str, TypeAdapter[Any]] = {
    "anthropic": TypeAdapter(ToolParam),
    "openai": TypeAdapter(FunctionToolParam),
    "interactions": TypeAdapter(InteractionsToolParam),
    "mcp": TypeAdapter(mcp_types.Tool),
}
NATIVES: dict[str, TypeAdapter[Any]] = {
    "anthropic": TypeAdapter(BetaToolUnionParam),
    "openai": TypeAdapter(OpenAIToolParam),
    "interactions": TypeAdapter(InteractionsToolParam),
}


def accepted(adapter: TypeAdapter[Any], definition: dict[str, Any]) -> None:
    """The vendor's type takes it, and knows every field of it."""
    taken = json.loads(adapter.dump_json(adapter.validate_python(definition), by_alias=True, exclude_none=True))
    assert taken.keys() >= definition.keys()


@pytest.mark.covers("tools:vendors:types")
@pytest.mark.parametrize("mode", MODES, ids=MODE_NAMES)
def test_the_vendors_own_types_take_every_awkward_schema(mode: tuple[str, bool]) -> None:
    """Whatever is not refused."""
    taken = 0
    for case in AWKWARD.values():
        try:
            compiled = of(case["schema"]).compile(mode[0], strict=mode[1])
        except ToolRefused:
            continue
        taken += 1
        (definition,) = compiled.definitions
        accepted(FUNCTIONS[mode[0]], definition)
        assert schema_of(compiled)["type"] == "object"
        assert not {"anyOf", "oneOf", "allOf", "enum", "const", "not"} & schema_of(compiled).keys() or mode[0] == "mcp"
    assert taken > 25


@pytest.mark.covers("tools:vendors:corpus")
@pytest.mark.parametrize("mode", MODES, ids=MODE_NAMES)
@pytest.mark.parametrize("server", SERVERS, ids=[server["package"] for server in SERVERS])
def test_the_tools_of_real_servers_compile_in_every_dialect(server: dict[str, Any], mode: tuple[str, bool]) -> None:
    """Taken by the vendor's types; with the meaning that they had, or with a row that says what is lost."""
    for tool in server["tools"]:
        made = _compile(tool, *mode)
        if made is None:
            assert mode[1], f"{tool['name']} is refused outside of strict mode"
            continue
        accepted(FUNCTIONS[mode[0]], made.definitions[0])
        if not made.lossy and not mode[1]:
            for instance in _instances(tool["parameters"]):
                assert fits(tool["parameters"], instance) == fits(schema_of(made), instance)


def _compile(tool: dict[str, Any], dialect: str, strict: bool) -> Compiled | None:
    try:
        return Tools([tool]).compile(dialect, strict=strict)
    except ToolRefused:
        return None


@pytest.mark.covers("tools:vendors:corpus")
def test_the_corpus_is_large_and_says_where_it_comes_from() -> None:
    """At least 150 tools, each package with registry, version and licence."""
    assert sum(len(server["tools"]) for server in SERVERS) >= 150
    for server in SERVERS:
        assert server["registry"] in ("npm", "pypi")
        assert server["version"]
        assert server["licence"]
    refused = [
        mode_name(*mode) for mode in MODES for server in SERVERS for t in server["tools"] if not _compile(t, *mode)
    ]
    assert set(refused) == {"anthropic strict", "openai strict"}
    assert len(refused) < 0.2 * 2 * sum(len(server["tools"]) for server in SERVERS)


def _instances(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Arguments that likely fit, and the same with one thing wrong."""
    chance = random.Random(7)
    found = []
    for _ in range(4):
        fit = {
            name: _value(inner, chance) for name, inner in schema.get("properties", {}).items() if chance.random() < 0.8
        }
        found.append(fit)
        for name in fit:
            found.append({key: value for key, value in fit.items() if key != name})
            found.append({**fit, name: chance.choice([None, 7, "x", [], {}, True])})
    return [*found, {}, {"unknown": 1}]


def _value(schema: Any, chance: random.Random) -> Any:
    if not isinstance(schema, dict):
        return chance.choice([1, "a"])
    for choice in ("enum", "anyOf", "oneOf"):
        if choice in schema:
            chosen = chance.choice(schema[choice])
            return chosen if choice == "enum" else _value(chosen, chance)
    kinds = schema.get("type", "string")
    match kinds if isinstance(kinds, str) else chance.choice(kinds):
        case "object":
            return {name: _value(inner, chance) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [_value(schema.get("items", {}), chance) for _ in range(chance.randint(0, 2))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    return schema.get("const", "text")


BUILTINS: dict[str, Any] = {
    "web search": WebSearch(),
    "web search in some domains": WebSearch(allowed_domains=["a.org"]),
    "web search outside of some domains, three times": WebSearch(blocked_domains=["a.org"], max_uses=3),
    "web search in and out": WebSearch(allowed_domains=["a.org"], blocked_domains=["b.org"]),
    "code": CodeExecution(),
    "pages": UrlContext(),
    "files": FileSearch(["store"]),
    "five files": FileSearch(["store"], max_results=5),
    "a server": RemoteMCP("docs", "https://docs.example/mcp"),
    "some tools of a server": RemoteMCP("docs", "https://docs.example/mcp", allowed_tools=["read"]),
    "a server with a token": RemoteMCP("docs", "https://docs.example/mcp", {"Authorization": "Bearer secret-token"}),
    "a server with a header": RemoteMCP("docs", "https://docs.example/mcp", {"X-Key": "secret-token"}),
    "a server that asks": RemoteMCP("docs", "https://docs.example/mcp", approval="always"),
    "a browser": ComputerUse(),
    "a desktop": ComputerUse(environment="desktop"),
    "a phone": ComputerUse(environment="mobile"),
}
MCP = "https://docs.example/mcp"
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "docs"}
OPENAI_MCP = {"type": "mcp", "server_label": "docs", "server_url": MCP, "require_approval": "never"}
NATIVE: dict[str, dict[str, dict[str, Any] | str]] = {
    "web search": {
        "interactions": {"type": "google_search"},
        "anthropic": {"type": "web_search_20250305", "name": "web_search"},
        "openai": {"type": "web_search"},
    },
    "web search in some domains": {
        "interactions": "no domains",
        "anthropic": {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.org"]},
        "openai": {"type": "web_search", "filters": {"allowed_domains": ["a.org"]}},
    },
    "web search outside of some domains, three times": {
        "interactions": "no domains",
        "anthropic": {
            "type": "web_search_20250305",
            "name": "web_search",
            "blocked_domains": ["a.org"],
            "max_uses": 3,
        },
        "openai": "allowed_domains alone",
    },
    "web search in and out": {"interactions": "no domains", "anthropic": "not both", "openai": "allowed_domains alone"},
    "code": {
        "interactions": {"type": "code_execution"},
        "anthropic": {"type": "code_execution_20250825", "name": "code_execution"},
        "openai": {"type": "code_interpreter", "container": {"type": "auto"}},
    },
    "pages": {
        "interactions": {"type": "url_context"},
        "anthropic": {"type": "web_fetch_20250910", "name": "web_fetch"},
        "openai": "openai has no url_context",
    },
    "files": {
        "interactions": {"type": "file_search", "file_search_store_names": ["store"]},
        "anthropic": "anthropic has no file_search",
        "openai": {"type": "file_search", "vector_store_ids": ["store"]},
    },
    "five files": {
        "interactions": {"type": "file_search", "file_search_store_names": ["store"], "top_k": 5},
        "anthropic": "anthropic has no file_search",
        "openai": {"type": "file_search", "vector_store_ids": ["store"], "max_num_results": 5},
    },
    "a server": {
        "interactions": {"type": "mcp_server", "name": "docs", "url": MCP},
        "anthropic": TOOLSET,
        "openai": OPENAI_MCP,
    },
    "some tools of a server": {
        "interactions": {
            "type": "mcp_server",
            "name": "docs",
            "url": MCP,
            "allowed_tools": [{"mode": "auto", "tools": ["read"]}],
        },
        "anthropic": {**TOOLSET, "default_config": {"enabled": False}, "configs": {"read": {"enabled": True}}},
        "openai": {**OPENAI_MCP, "allowed_tools": ["read"]},
    },
    "a server with a token": {
        "interactions": {
            "type": "mcp_server",
            "name": "docs",
            "url": MCP,
            "headers": {"Authorization": "Bearer secret-token"},
        },
        "anthropic": TOOLSET,
        "openai": {**OPENAI_MCP, "headers": {"Authorization": "Bearer secret-token"}},
    },
    "a server with a header": {
        "interactions": {"type": "mcp_server", "name": "docs", "url": MCP, "headers": {"X-Key": "secret-token"}},
        "anthropic": "no header 'X-Key'",
        "openai": {**OPENAI_MCP, "headers": {"X-Key": "secret-token"}},
    },
    "a server that asks": {
        "interactions": "asks nobody",
        "anthropic": "asks nobody",
        "openai": {**OPENAI_MCP, "require_approval": "always"},
    },
    "a browser": {
        "interactions": {"type": "computer_use", "environment": "browser"},
        "anthropic": {"type": "browser_toolset_20260801"},
        "openai": {"type": "computer"},
    },
    "a desktop": {
        "interactions": {"type": "computer_use", "environment": "desktop"},
        "anthropic": {"type": "computer_toolset_20260801"},
        "openai": {"type": "computer"},
    },
    "a phone": {
        "interactions": {"type": "computer_use", "environment": "mobile"},
        "anthropic": "no computer_use of a mobile",
        "openai": "no computer_use of a mobile",
    },
}


@pytest.mark.covers("tools:vendors:natives")
@pytest.mark.parametrize("dialect", ["interactions", "anthropic", "openai", "mcp"])
@pytest.mark.parametrize("name", BUILTINS)
def test_a_built_in_becomes_the_vendors_own_tool_or_is_refused_by_name(name: str, dialect: str) -> None:
    """As the vendor's types have it; a refusal names vendor and capability, or the setting that the vendor lacks."""
    expected = NATIVE[name].get(dialect, f"mcp has no {BUILTINS[name].capability}")
    tools = Tools([BUILTINS[name]])
    if isinstance(expected, str):
        with pytest.raises(ToolRefused, match=expected) as caught:
            tools.compile(dialect)
        (row,) = caught.value.report
        assert (row.tool, row.path, row.action) == (BUILTINS[name].capability, "", "refused")
        assert "secret-token" not in str(caught.value)
        return
    compiled = tools.compile(dialect)
    assert compiled.definitions == [expected]
    accepted(NATIVES[dialect], compiled.definitions[0])
    assert "secret-token" not in repr(tools) + repr(BUILTINS[name])


@pytest.mark.covers("tools:vendors:natives")
def test_what_belongs_to_a_native_tool_elsewhere_in_the_request_is_given_with_it() -> None:
    """Anthropic's MCP servers stand beside the tools."""
    servers = [
        RemoteMCP("one", "https://one.example/mcp", {"authorization": "Bearer t"}),
        RemoteMCP("two", "https://two.example/mcp"),
    ]
    request = Tools(servers).compile("anthropic").request
    assert request == {
        "mcp_servers": [
            {"type": "url", "name": "one", "url": "https://one.example/mcp", "authorization_token": "t"},
            {"type": "url", "name": "two", "url": "https://two.example/mcp"},
        ]
    }
    for server in request["mcp_servers"]:
        accepted(TypeAdapter(BetaRequestMCPServerURLDefinitionParam), server)
    assert Tools(servers).compile("openai").request == {}


@pytest.mark.covers("tools:dialects")
def test_a_dialect_comes_from_its_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error says what to install; an unknown name and a strict mode that there is not are refused."""
    tools = of({"type": "object"})
    with pytest.raises(InvalidRequest, match="known: anthropic, interactions, mcp, openai"):
        tools.compile("latin")
    for dialect in ("interactions", "mcp"):
        with pytest.raises(InvalidRequest, match=f"'{dialect}' has no strict mode"):
            tools.compile(dialect, strict=True)
    for vendor in ("anthropic", "openai"):
        monkeypatch.delitem(FOUND, vendor)
        with pytest.raises(NotConfigured, match=f"pip install interactions-bridge-{vendor}"):
            of({"type": "object"}).compile(vendor)


@pytest.mark.covers("tools:vendors:limits")
@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({f"p{n}": {"type": "string"} for n in range(5_001)}, "5,000 properties in a schema, and this has 5,001"),
        ({"e": {"enum": [str(n) for n in range(1_001)]}}, "1,000 enum values"),
        ({"e": {"enum": ["x" * 120_001]}}, "120,000 letters"),
    ],
)
def test_openai_strict_mode_refuses_what_is_too_large(schema: dict[str, Any], told: str) -> None:
    """By number, before the request."""
    with pytest.raises(ToolRefused, match=told):
        of({"type": "object", "properties": schema}).compile("openai", strict=True)


@pytest.mark.covers("tools:vendors:limits")
def test_openai_strict_mode_refuses_what_is_too_deep() -> None:
    """Ten levels of objects pass, eleven do not."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(10):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    of(schema).compile("openai", strict=True, on_lossy="raise")
    with pytest.raises(ToolRefused, match="10 levels of objects in a schema, and this has 11"):
        of({"type": "object", "properties": {"a": schema}}).compile("openai", strict=True)


def _rows(compiled: Compiled) -> list[Row]:
    return [row for row in compiled.report if row.action != "kept"]


@pytest.mark.wheel
@pytest.mark.covers("tools:compile:report")
def test_a_usual_tool_loses_nothing_anywhere() -> None:
    """A function with closed, required parameters: no row but "kept" in any mode."""

    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    for dialect, strict in MODES:
        assert _rows(Tools([add]).compile(dialect, strict=strict, on_lossy="raise")) == []
