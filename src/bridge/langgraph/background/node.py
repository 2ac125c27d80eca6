"""`interactions_node`: a background interaction as a node, a compiled start → wait (→ act → start …) subgraph.

This puts the pieces together: what it was told is checked in `settings`, the start is `starting`'s, the wait `waiting`'s, what stands
between two interactions `acting`'s. Waking a thread that is parked here is `waking`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from bridge._portal import PortalRunner
from bridge.backend import Backend, require
from bridge.errors import InvalidRequest
from bridge.jobs.stores.sqlite import default_store
from bridge.jobs.stores.store import JobStore
from bridge.jobs.terms import Budget, agreed
from bridge.tools import Tools

from .._tools import response_format_of, tools_of
from ..state import InteractionsState, merge_interactions
from .acting import act, asked, decided
from .places import Standing, barrier, barrier_in_thread, standing
from .settings import Approval, Settings, Wait, checked
from .starting import start
from .telling import Teller
from .waiting import ACT, APPROVE, GO_ON, START_NODE, WAIT, followed, job_of, left, looked, parked

if TYPE_CHECKING:
    from .._tools import ToolLike

__all__ = ["interactions_node", "settings_of"]

_T = TypeVar("_T")
_APPROVALS: tuple[Approval, ...] = ("calls", "plan")


class _State(TypedDict, total=False):
    """What the subgraph keeps between its nodes, beside what it shows."""

    messages: Annotated[list[AnyMessage], add_messages]
    interactions: Annotated[dict[str, dict[str, Any]], merge_interactions]
    job: str | None
    """The token of the job that is waited for, or whose calls are being answered."""
    hops: list[dict[str, Any]] | None
    """The interactions that this one goes on from, where the service could not end a turn in one go."""
    approved: bool | None
    """Whether the plan was approved."""


def interactions_node(
    *,
    model: str | None = None,
    agent: str | None = None,
    backend: Backend | str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    name: str | None = None,
    session_name: str | None = None,
    input: Callable[[Any], Any] | None = None,
    background: bool = True,
    tools: Sequence[ToolLike] | Tools | None = None,
    environment: Any = "none",
    agent_config: Mapping[str, Any] | None = None,
    generation_config: Mapping[str, Any] | None = None,
    response_format: Any = None,
    labels: Mapping[str, str] | None = None,
    jobs: JobStore | None = None,
    wait: Wait = "auto",
    deadline: float | None = 7200.0,
    stall_after: float | None = None,
    budget: Budget | Mapping[str, Any] | None = None,
    on_abandon: Literal["cancel", "detach"] = "cancel",
    approve: bool | Approval | Sequence[Approval] = False,
    on_incomplete: Literal["keep", "raise"] = "keep",
    on_unknown_start: Literal["fail", "recreate", "wait"] = "fail",
    webhook: str | Sequence[str] | None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A node that runs a background interaction, started once and waited for at no cost, for a graph with `messages` and `interactions`.

    Pass one of `model` and `agent`. The service is given by `backend` (a ready one or a name), `base_url` or `api_key`, as for
    `ChatInteractions`. `name` is the node's key in `interactions`, the author of its messages and, unless `session_name` says
    otherwise, its session; by default the model or agent.

    What is sent: the conversation as a session sees it, or what `input` makes of the state. `tools` are the API's own and client tools,
    which are run here, each call as a task of its own. `environment` is "none", "per_thread" (a sandbox that the thread keeps, a
    branch of it not), "remote" (a new one each time), an id, settings, or a callable that makes one of these of the state.

    How it is waited for: `wait` is "interrupt" (the thread is parked and resumed by `wake`, a `Sweeper` or a `webhook_app`), "await"
    (followed in this run) or "auto" (parked where the graph has a checkpointer). `background=False` runs it inside its start.
    `jobs` is the store that remembers what was started, by default a file in the user's data folder. `deadline`, `stall_after` (seconds)
    and `budget` end it; `on_abandon` says what becomes of it where its run is cancelled.

    `approve` asks a human through an interrupt before calls are run ("calls", or True), or before a deep research follows its plan
    ("plan"). `on_incomplete="raise"` makes an error of a partial answer. `on_unknown_start` says what to do where a start was recorded
    and the process died before it was known. `webhook` is told when it is over.

    Raises `InvalidRequest`, `NotConfigured` and `UnsupportedCapability` for what cannot be kept. The node raises `InteractionFailed`,
    `DeadlineExceeded` and `OutcomeUnknown`.
    """
    settings, held = _settings(
        model=model,
        agent=agent,
        backend=backend,
        api_key=api_key,
        base_url=base_url,
        name=name,
        session_name=session_name,
        input=input,
        background=background,
        tools=tools,
        environment=environment,
        agent_config=agent_config,
        generation_config=generation_config,
        response_format=response_format,
        labels=labels,
        jobs=jobs,
        wait=wait,
        deadline=deadline,
        stall_after=stall_after,
        budget=budget,
        on_abandon=on_abandon,
        approve=approve,
        on_incomplete=on_incomplete,
        on_unknown_start=on_unknown_start,
        webhook=webhook,
    )
    node = _Node(settings, held)
    graph = StateGraph(_State, input_schema=InteractionsState, output_schema=InteractionsState)
    graph.add_node(START_NODE, RunnableLambda(node.start_in_thread, node.start, name=START_NODE))
    graph.add_node(WAIT, RunnableLambda(node.wait_in_thread, node.wait, name=WAIT), destinations=(GO_ON, APPROVE, ACT))
    graph.add_node(GO_ON, RunnableLambda(node.go_on_in_thread, node.go_on, name=GO_ON))
    graph.add_edge(START, START_NODE)
    graph.add_edge(START_NODE, WAIT)
    graph.add_edge(GO_ON, WAIT)
    graph.add_node(APPROVE, node.approve, destinations=(GO_ON, ACT))
    graph.add_node(ACT, RunnableLambda(node.act_in_thread, node.act, name=ACT))
    graph.add_edge(ACT, GO_ON)
    return graph.compile(name=settings.name)


class _Node:
    """The nodes of one subgraph. Each has a twin for graphs that are run without an event loop."""

    def __init__(self, settings: Settings, tools: ToolNode | Tools | None) -> None:
        self.settings = settings
        self._tools = tools

    async def start(self, state: _State, *, anew: bool = True) -> dict[str, Any]:
        place = standing()
        self._check(place)
        await barrier(place)
        return await start(self.settings, state, place, get_stream_writer(), anew=anew)

    def start_in_thread(self, state: _State, *, anew: bool = True) -> dict[str, Any]:
        place = standing()
        self._check(place)
        barrier_in_thread(place)
        return _run(start(self.settings, state, place, get_stream_writer(), anew=anew))

    async def go_on(self, state: _State) -> dict[str, Any]:
        return await self.start(state, anew=False)

    def go_on_in_thread(self, state: _State) -> dict[str, Any]:
        return self.start_in_thread(state, anew=False)

    async def wait(self, state: _State) -> Command[Any]:
        job, teller = await job_of(self.settings, state), self._teller()
        if not self._parks():
            return await left(self.settings, state, await followed(self.settings, job, teller))
        while not (seen := await looked(self.settings, job, teller)).ended:
            job = seen.job
            interrupt(parked(self.settings, job))
        return await left(self.settings, state, seen)

    def wait_in_thread(self, state: _State) -> Command[Any]:
        job, teller = _run(job_of(self.settings, state)), self._teller()
        if not self._parks():
            return _run(left(self.settings, state, _run(followed(self.settings, job, teller))))
        while not (seen := _run(looked(self.settings, job, teller))).ended:
            job = seen.job
            interrupt(parked(self.settings, job))
        return _run(left(self.settings, state, seen))

    def approve(self, state: _State) -> Command[Any]:
        word = interrupt(asked(self.settings, state))
        while True:
            try:
                return decided(self.settings, state, word)
            except InvalidRequest as error:  # a word that leads nowhere is asked for again, and costs nothing
                word = interrupt({**asked(self.settings, state), "error": str(error)})

    async def act(self, task: Any, config: RunnableConfig) -> Any:
        return await act(self.settings, self._held, task, config)

    def act_in_thread(self, task: Any, config: RunnableConfig) -> Any:
        return _run(act(self.settings, self._held, task, config))

    @property
    def _held(self) -> ToolNode | Tools:
        if self._tools is None:
            raise InvalidRequest(f"{self.settings.name} holds no tools that it could run", "tools")
        return self._tools

    def _check(self, place: Standing) -> None:
        """Refuses what could not be waited for, before it is paid for."""
        if place.checkpointer is not None:
            return
        if self.settings.approve:
            raise InvalidRequest(
                f"{self.settings.name}: approve= asks a human through a checkpointer, and this graph has none; compile it with one",
                "approve",
            )
        if self.settings.wait == "interrupt":
            raise InvalidRequest(
                f"{self.settings.name}: wait='interrupt' parks the thread in a checkpointer, and this graph has none; compile it with "
                "one, or pass wait='await'",
                "wait",
            )

    def _parks(self) -> bool:
        return self.settings.wait != "await" and standing().checkpointer is not None

    def _teller(self) -> Teller:
        # What runs inside its start was told there.
        return Teller(self.settings.name, get_stream_writer() if self.settings.background else _nobody)


def _nobody(_: Any) -> None:
    pass


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    return PortalRunner().run(work)


def settings_of(graph: Any) -> list[Settings]:
    """The settings of all nodes of ours in a graph, in its subgraphs too."""
    found: list[Settings] = []
    for part in [graph, *(part for _, part in graph.get_subgraphs(recurse=True))]:
        start = getattr(part.nodes.get(START_NODE), "bound", None)
        node = getattr(getattr(start, "afunc", None), "__self__", None)
        if isinstance(node, _Node) and node.settings not in found:
            found.append(node.settings)
    return found


def _settings(
    *,
    model: str | None,
    agent: str | None,
    backend: Backend | str | None,
    api_key: str | None,
    base_url: str | None,
    name: str | None,
    session_name: str | None,
    tools: Sequence[ToolLike] | Tools | None,
    jobs: JobStore | None,
    stall_after: float | None,
    budget: Budget | Mapping[str, Any] | None,
    approve: bool | Approval | Sequence[Approval],
    webhook: str | Sequence[str] | None,
    **plain: Any,
) -> tuple[Settings, ToolNode | Tools | None]:
    """The settings of a node, and the tools that it runs."""
    from bridge.connect import connect

    if (model is None) == (agent is None):
        both = "neither" if model is None else "both"
        raise InvalidRequest(
            f"interactions_node takes a model or an agent, not {both}: pass model=... or agent=...", "model"
        )
    checked(plain["wait"], "wait", ("interrupt", "await", "auto"))
    checked(plain["on_abandon"], "on_abandon", ("cancel", "detach"))
    checked(plain["on_incomplete"], "on_incomplete", ("keep", "raise"))
    checked(plain["on_unknown_start"], "on_unknown_start", ("fail", "recreate", "wait"))
    if plain["deadline"] is not None and plain["deadline"] <= 0:
        raise InvalidRequest("deadline is a number of seconds above 0, or None", "deadline")
    uris = [webhook] if isinstance(webhook, str) else list(webhook or ())
    if not plain["background"] and (uris or plain["wait"] == "interrupt"):
        raise InvalidRequest(
            "background=False runs inside its start: it is not parked, and no webhook tells of it", "background"
        )
    given = {"api_key": api_key, "base_url": base_url}
    client = connect(backend, **{name: value for name, value in given.items() if value is not None})
    if agent is not None:
        require(client, "agents", "pass a backend that runs managed agents")
    if plain["background"]:
        require(client, "background", "pass background=False")
    target = model or agent or ""
    agent_config, generation_config = dict(plain.pop("agent_config") or {}), dict(plain.pop("generation_config") or {})
    definitions, held, names = _divided(tools)
    label = name or target
    asks = ("calls",) if approve is True else (approve,) if isinstance(approve, str) else tuple(approve or ())
    for what in asks:
        checked(what, "approve", _APPROVALS)
    settings = Settings(
        backend=client,
        jobs=jobs if jobs is not None else default_store(),
        name=label,
        target=target,
        is_agent=agent is not None,
        # What is sent in place of the conversation, the service knows instead of it: nobody else may go on from there.
        session=f"{client.identity}/{session_name or label}{'/input' if plain['input'] is not None else ''}",
        terms=agreed(
            budget=Budget.of(budget),
            stall_after=stall_after,
            target=target,
            is_agent=agent is not None,
            backend=client.name,
            capabilities=client.capabilities,
            model=agent_config.get("model"),
        ),
        approve=frozenset(asks),
        agent_config=agent_config,
        generation_config=generation_config,
        response_format=response_format_of(plain.pop("response_format")),
        labels=dict(plain.pop("labels") or {}),
        webhook=uris,
        definitions=definitions,
        client_tools=names,
        **plain,
    )
    return settings, held


def _divided(
    tools: Sequence[ToolLike] | Tools | None,
) -> tuple[list[dict[str, Any]], ToolNode | Tools | None, frozenset[str]]:
    """The tools as the API takes them, who runs their calls here, and the names of those that are run here."""
    if isinstance(tools, Tools):
        compiled = tools.compile("interactions")
        names = frozenset(str(tool["name"]) for tool in compiled.definitions if tool["type"] == "function")
        return compiled.definitions, tools if names else None, names
    # A class is the schema of a call, and nothing that could be run.
    ours = [
        tool for tool in tools or () if isinstance(tool, BaseTool) or (callable(tool) and not isinstance(tool, type))
    ]
    names = frozenset(str(tool["name"]) for tool in tools_of(ours))
    return tools_of(list(tools or ())), ToolNode(ours, handle_tool_errors=True) if ours else None, names
