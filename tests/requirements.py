"""What this library promises: the manifest that tests are held against.

A promise has an id (`area:feature[:variant]`), a sentence, and a source: a page of the API's documentation, an issue (ours or of a
library that went wrong there), or "ours". `test_requirements.py` checks that every promise has a test, that every test names the
promises it shows (`@pytest.mark.covers`), and that a test is only skipped for a reason that stands in `SKIPS`.
"""

from __future__ import annotations

from typing import NamedTuple


class Requirement(NamedTuple):
    """One promise."""

    id: str
    sentence: str
    source: str


R = Requirement

MODEL: tuple[Requirement, ...] = (
    Requirement(
        "model:lossless:samples",
        "Every recorded request, answer and event comes back as it was, at every level, with nothing unknown in it.",
        "ours",
    ),
    Requirement(
        "model:lossless:generated",
        "Any value of any type comes back as it was: known fields in any combination, unknown ones, nulls, huge numbers.",
        "ours",
    ),
    Requirement(
        "model:lossless:open",
        "What stands in an open position may be any JSON: parsing never raises, and the dump equals the input.",
        "ours",
    ),
    Requirement("model:lossless:depth", "Nesting as deep as JSON can be read is written again.", "ours"),
    Requirement(
        "model:lossless:text",
        "Text that UTF-8 cannot encode comes back as it was, in values and in names of fields.",
        "ours",
    ),
    Requirement("model:lossless:unknown-fields", "Unknown fields may be called like methods of ours.", "ours"),
    Requirement("model:lossless:pydantic", "What pydantic itself dumps of a value is what we dump.", "ours"),
    Requirement("model:kinds", "The samples hold every kind of step, delta and event that is older than they.", "ours"),
    Requirement(
        "model:unknown", "A kind of a later version is kept raw, counted and readable, at every level.", "ours"
    ),
    Requirement("model:unknown:invalid", "A known kind whose fields do not fit is kept raw with the reason.", "ours"),
    Requirement(
        "model:unknown:object",
        "An unknown value is immutable, hashable, equal by what it holds, and can be copied and pickled.",
        "ours",
    ),
    Requirement("model:unknown:counts", "Counting what is unknown uses bounded memory and loses no count.", "ours"),
    Requirement("model:fields", "A field of an answer that does not fit costs no more than itself.", "ours"),
    Requirement("model:strict", "Nothing is converted: a text is no number, a number no truth value.", "ours"),
    Requirement(
        "model:immutable",
        "Models cannot be changed, nor through what they give away; a changed copy is checked.",
        "ours",
    ),
    Requirement(
        "model:int64",
        "64-bit integers travel as strings and read as exact ints.",
        'API: reference, "AntigravityAgentConfig", "Environment"',
    ),
    Requirement("model:secrets", "Secrets stand in no repr and in no error.", "ours"),
    Requirement(
        "model:new-kinds",
        "Kinds of google-genai 3.4 (tool_search, defer_loading, processing) are known.",
        "API: google-genai 3.4",
    ),
    Requirement("model:surface", "All names are listed once, sorted, documented and resolve.", "ours"),
    Requirement("model:lazy", "What a stream does not need is imported when it is first met.", "ours"),
    Requirement(
        "model:fast-text", "A piece of text is read a quicker way that comes to the same as the general one.", "ours"
    ),
    Requirement(
        "model:status",
        "One table says what each of the nine statuses means, and nothing else names them.",
        'API: reference, "Interaction.status"',
    ),
    Requirement("model:status:official", "The table has exactly the official client's statuses.", "API: google-genai"),
    Requirement("model:status:unknown", "An unknown status reads as a run that goes on.", "ours"),
    Requirement(
        "model:output-text",
        "The text of an answer is what the official client says it is.",
        "API: google-genai, `output_text`",
    ),
    Requirement(
        "model:request:model",
        "A request to a model is what was given and no more.",
        'API: reference, "CreateModelInteraction"',
    ),
    Requirement(
        "model:request:agent",
        "A request to an agent is what was given and no more.",
        'API: reference, "CreateAgentInteraction"',
    ),
    Requirement("model:request:input", "Every form of input stands for steps.", 'API: reference, "InteractionsInput"'),
    Requirement("model:request:invalid", "Settings of a request that do not fit are kept with the reason.", "ours"),
    Requirement(
        "model:usage", "Usages of one turn's hops add up field by field.", "API: google-genai, automatic continuation"
    ),
    Requirement(
        "model:official:kinds",
        "Every kind that the official client knows is known, and no other.",
        "API: google-genai 2.34 and 3.4",
    ),
    Requirement(
        "model:official:samples",
        "The official client's models and ours dump the same of every sample.",
        "API: google-genai 2.34 and 3.4",
    ),
    Requirement(
        "model:official:generated",
        "The official client's models and ours dump the same of any value of a known kind.",
        "API: google-genai 2.34 and 3.4",
    ),
    Requirement(
        "model:trap:first-chunk",
        "The first chunk of a text or thought may sit in `step.start`.",
        "issue: first text chunk lost by clients that read only deltas",
    ),
    Requirement("model:trap:index", "Deltas belong to the step of their index.", 'API: reference, "StepDelta"'),
    Requirement(
        "model:trap:arguments",
        "Arguments arrive as pieces of a JSON string; broken ones are kept and never called.",
        'API: reference, "ArgumentsDelta"',
    ),
    Requirement(
        "model:trap:media",
        "Media is replaced, not appended; chunks of sound stay apart.",
        'API: reference, "ImageDelta", "AudioDelta"',
    ),
    Requirement(
        "model:trap:continuation",
        "One stream may hold several completed hops, merged as the official client merges them.",
        'API: reference, "continuation_token"',
    ),
    Requirement(
        "model:trap:completed",
        "`interaction.completed` carries no steps; where it does, they are the answer.",
        'API: reference, "InteractionCompletedEvent"',
    ),
    Requirement("model:trap:usage", "Usage may be absent live and present later.", "issue: enricoros/big-AGI#1143"),
    Requirement(
        "model:trap:pending",
        "A call is pending unless a result of its id is there.",
        "issue: agents' file tools come as server-made pairs",
    ),
    Requirement("model:trap:replay", "What comes again in a stream changes nothing.", "ours"),
    Requirement("model:assemble:twins", "A recorded stream comes to the unstreamed answer of the same turn.", "ours"),
    Requirement(
        "model:assemble:not-streamed",
        "The fields that a stream does not carry are data, and the test uses them.",
        "ours",
    ),
    Requirement(
        "model:assemble:annotations",
        "Annotations finish a text; what follows is the next one.",
        'API: reference, "TextAnnotationDelta"',
    ),
    Requirement("model:assemble:unknown", "Unknown deltas and fields reach the step.", "ours"),
    Requirement(
        "model:assemble:errors", "Errors inside a stream are kept and told once.", 'API: reference, "ErrorEvent"'
    ),
    Requirement("model:assemble:partial", "A stream cut after any event gives what had arrived.", "ours"),
    Requirement("model:assemble:snapshots", "A snapshot does not change as the stream goes on.", "ours"),
    Requirement("model:assemble:linear", "A long answer costs time in proportion to its length.", "ours"),
    Requirement(
        "model:assemble:generated",
        "Any stream of any answer comes to that answer, and no events in any order raise.",
        "ours",
    ),
)

GEMINI: tuple[Requirement, ...] = ()

LOCAL: tuple[Requirement, ...] = (
    R(
        "local:create",
        "An answer has the real one's fields, and names its model as `local-` and the name asked for.",
        "issue: embedded service",
    ),
    R("local:create:ids", "Ids begin with v1_ and carry the first turn of their chain and their own name.", "API: ids"),
    R("local:create:usage", "Usage is counted by a fixed rule, by modality, and adds up.", "issue: embedded service"),
    R("local:stream", "A stream is created, status, steps in order, and completed without steps.", "API: streaming"),
    R(
        "local:stream:equals-create",
        "What a turn streams assembles to what create and get answer, for every kind of step.",
        "issue: embedded service",
    ),
    R(
        "local:stream:pieces",
        "Every text answer streams in at least two deltas, and in a bounded number.",
        "issue: embedded service",
    ),
    R("local:stream:arguments", "Arguments of a call stream as pieces of JSON text.", "issue: embedded service"),
    R(
        "local:stream:text-in-start",
        "A switch puts the first piece of a text into step.start, as the real service was seen to.",
        "API: migration guide",
    ),
    R(
        "local:stream:event-ids",
        "Streams of stored turns carry event ids; a switch takes them off foreground streams.",
        "API: streaming",
    ),
    R("local:get:input", "get gives the input's steps only with include_input.", "API: interactions.get"),
    R(
        "local:store-off",
        "With store=false nothing is kept, no id is given, and the turn is no parent.",
        "issue: embedded service",
    ),
    R("local:chain", "A turn knows the whole conversation of its chain, and no other.", "issue: embedded service"),
    R("local:chain:branch", "Several turns may follow the same parent.", "issue: embedded service"),
    R(
        "local:chain:parent-gone",
        "An unknown or deleted id is 404, also as a parent, and a chain with a hole is not continued.",
        "issue: embedded service",
    ),
    R("local:chain:parent-running", "A parent that still runs is 400.", "issue: embedded service"),
    R(
        "local:chain:not-inherited",
        "Tools, instruction, generation config and environment are not inherited.",
        "API: interactions guide",
    ),
    R(
        "local:calls",
        "Several function calls are asked in one interaction and answered together.",
        "issue: embedded service",
    ),
    R("local:calls:server-made", "A call with its result among the steps waits for nobody.", "API: agents"),
    R(
        "local:calls:refused",
        "Results of calls never asked, answered already or left out are 400.",
        "issue: embedded service",
    ),
    R("local:calls:stateless", "A history that is sent whole brings its own calls.", "API: stateless mode"),
    R(
        "local:budget:output",
        "max_output_tokens ends a turn as incomplete and keeps what there was.",
        "API: generation_config",
    ),
    R("local:budget:stop", "A stop sequence ends the answer before it.", "API: generation_config"),
    R(
        "local:budget:total",
        "An agent's max_total_tokens ends its run as incomplete and keeps what it did.",
        "API: agent_config",
    ),
    R("local:abandoned", "A caller who leaves does not stop a turn that is stored.", "API: background"),
    R("local:abandoned:store-off", "A turn that is not stored ends with its caller.", "ours"),
    R("local:responder-fails", "A failing responder costs its turn and shows no inside.", "ours"),
    R("local:ending", "A responder may say how its turn ends.", "ours"),
    R("local:backend", "A backend takes an engine or the settings of one.", "ours"),
    R("local:backend:loops", "One service can be used from one event loop after the other.", "ours"),
    R("local:server-tools", "A registered callable stands in for a server tool.", "issue: embedded service"),
    R("local:background", "A background create returns at once and is read later.", "issue: embedded service"),
    R("local:background:queued", "A deferred turn starts queued.", "API: service_tier"),
    R("local:watch", "A watch replays what was and follows what comes.", "issue: embedded service"),
    R("local:watch:resume", "A stream resumes after any event with no gap and no double.", "issue: embedded service"),
    R("local:watch:cursor", "A cursor of another turn is refused.", "ours"),
    R("local:cancel", "Cancelling really stops a background turn and keeps its steps.", "issue: embedded service"),
    R("local:cancel:program", "Cancelling stops the program that runs.", "issue: embedded service"),
    R("local:cancel:refused", "What has ended or runs in the foreground is not cancelled.", "API: interactions.cancel"),
    R("local:cancel:stubborn", "A turn that does not stop is cancelled in bounded time all the same.", "ours"),
    R("local:delete", "A deleted turn that runs goes on unseen.", "API: interactions.delete"),
    R("local:restart", "Everything survives a restart, event ids too.", "issue: embedded service"),
    R(
        "local:restart:cut",
        "A job that was cut by a crash ends failed with a clear error and keeps its steps.",
        "issue: embedded service",
    ),
    R("local:close", "Closing ends what runs as failed and refuses what comes.", "ours"),
    R("local:close:at-once", "Closing right after a start leaves nobody waiting.", "ours"),
    R("local:close:stubborn", "Closing is bounded.", "ours"),
    R(
        "local:close:forgotten",
        "A service that nobody closes neither keeps the process alive nor leaves its folder.",
        "ours",
    ),
    R("local:data:in-use", "A data folder serves one process at a time.", "ours"),
    R("local:data:unusable", "A data folder that cannot be used is named.", "ours"),
    R("local:data:extra", "A missing extra is named with the command that installs it.", "ours"),
    R("local:data:fails", "A store that fails is an error, and those who wait are told.", "ours"),
    R("local:retention", "Interactions and environments are gone after the retention time.", "issue: embedded service"),
    R(
        "local:checks:fields",
        "A known kind with a missing or wrong field is 400 and named by its place.",
        "issue: embedded service",
    ),
    R("local:checks:kinds", "An unknown kind is 400 and what there is gets named.", "API: errors"),
    R(
        "local:checks:unknown-fields",
        "Unknown top-level fields are 400, unknown nested ones are taken.",
        "issue: embedded service",
    ),
    R("local:checks:tools", "A tool that cannot be honoured is 400 with its name.", "issue: embedded service"),
    R(
        "local:checks:modes",
        "What does not go together, or does not exist here, is 400 with a reason.",
        "API: interactions guide",
    ),
    R("local:checks:any", "Whatever a request holds, it is answered or refused and nothing fails.", "ours"),
    R("local:checks:labels", "Labels keep the rules of the API.", "API: labels"),
    R("local:checks:accepted", "What the API takes is taken.", "API: reference"),
    R(
        "local:environment",
        "A turn gets an environment with its sources and leaves its files.",
        "issue: embedded service",
    ),
    R("local:environment:events", "The environment is named in the first event and in the last.", "API: environments"),
    R("local:environment:reuse", "An environment is reused by its id and can be updated.", "issue: embedded service"),
    R(
        "local:environment:fork",
        "An environment can be copied, and a switch makes every reuse a copy.",
        "API: environments",
    ),
    R("local:environment:gone", "An unknown or deleted environment is 404.", "API: environments"),
    R(
        "local:environment:sources",
        "Inline sources have the API's limits; what cannot be mounted is 400 and leaves nothing.",
        "API: environments",
    ),
    R("local:environment:requests", "A wrong request for an environment is 400.", "API: environments"),
    R("local:environment:secrets", "Values of variables are never shown or kept.", "ours"),
    R("local:files", "Files are written, read and listed with their facts.", "API: environments"),
    R("local:files:overwrite", "A file is overwritten unless that is refused, then it is 409.", "API: environments"),
    R(
        "local:files:safe",
        "No path leads out of an environment, neither by text nor over a link.",
        "issue: embedded service",
    ),
    R("local:files:missing", "A path that is none is 404, and no error shows a path of the machine.", "ours"),
    R(
        "local:sandbox:scratch",
        "Programs of a turn without an environment run in a folder that goes with them.",
        "ours",
    ),
    R("local:agents", "Agents are created, read, listed and deleted.", "issue: embedded service"),
    R("local:agents:exists", "An agent id that exists is 409.", "issue: embedded service"),
    R("local:agents:refused", "A wrong definition of an agent is 400.", "ours"),
    R("local:agents:secrets", "Headers and variables of an agent are not shown.", "ours"),
    R("local:agents:known", "Known agents answer under their own id; unknown ones are 404.", "issue: embedded service"),
    R("local:agents:rules", "Each kind of agent takes what the real one takes.", "API: agents"),
    R(
        "local:agents:custom",
        "An agent of the caller's own works with its definition and the call's additions.",
        "API: agents",
    ),
    R(
        "local:agents:environment",
        "Each call of an agent of the caller's own gets a copy of its environment.",
        "API: agents",
    ),
    R("local:controls:off", "Without test controls the labels mean nothing.", "issue: embedded service"),
    R("local:controls:status", "A label sets the status a turn ends with.", "issue: embedded service"),
    R(
        "local:controls:continuation",
        "A turn that requires continuation is continued with its token.",
        "API: continuation",
    ),
    R("local:controls:steps", "A label sets how many steps a turn has.", "issue: embedded service"),
    R("local:controls:delay", "A label delays a turn, which can be cancelled meanwhile.", "issue: embedded service"),
    R("local:controls:drop", "A label cuts the first stream while the turn goes on.", "issue: embedded service"),
    R("local:controls:http", "A label answers the first of equal requests with a status.", "issue: embedded service"),
    R("local:controls:refused", "A control that makes no sense is refused by name.", "ours"),
    R(
        "local:switches:background-stream",
        "Whether background and stream go together is a switch.",
        "issue: disputed behaviours",
    ),
    R(
        "local:switches:antigravity-background",
        "Whether antigravity runs in the background is a switch.",
        "issue: disputed behaviours",
    ),
    R(
        "local:switches:hidden-reads",
        "How long a new background turn is invisible is a switch.",
        "issue: disputed behaviours",
    ),
    R("local:switches:texts", "Switches are read from texts, and what is possible is named.", "ours"),
    R(
        "local:rules:honest",
        "Every answer in words says that a stand-in gave it, and says where it knows nothing.",
        "issue: embedded service",
    ),
    R(
        "local:rules:thought",
        "An answer begins with a signed thought, with a summary where thinking_summaries asks for one.",
        "API: thinking",
    ),
    R("local:rules:deterministic", "The same turn has the same steps.", "issue: embedded service"),
    R(
        "local:rules:recall",
        "A question is answered from what was said in the server-side conversation; nothing is made up.",
        "issue: embedded service",
    ),
    R(
        "local:rules:recall-talk",
        "The conversation itself can be asked for: first and last words, the last answer, a summary.",
        "ours",
    ),
    R("local:rules:recall-others", "What others said, or a document held, is told with where it comes from.", "ours"),
    R(
        "local:rules:calls",
        "A declared function is called when the prompt names it or asks in its words, and not otherwise.",
        "issue: embedded service",
    ),
    R(
        "local:rules:calls-arguments",
        "Arguments are filled from the JSON schema and the prompt.",
        "issue: embedded service",
    ),
    R("local:rules:calls-choice", "tool_choice forces, forbids and narrows calls.", "API: function calling"),
    R(
        "local:rules:calls-several",
        "Several functions or values asked for are several calls in one interaction.",
        "issue: embedded service",
    ),
    R(
        "local:rules:results",
        "The functions' results, nested values and errors included, are used in the answer.",
        "issue: embedded service",
    ),
    R("local:rules:results-loop", "A loop of calls and results ends, also where calls are forced or edited.", "ours"),
    R(
        "local:rules:schema",
        "Arguments and structured answers are valid under every schema that can be satisfied.",
        "issue: embedded service",
    ),
    R("local:rules:schema-odd", "A malformed schema, an older dialect or a contradiction costs no turn.", "ours"),
    R("local:rules:schema-recursive", "A schema that refers to itself ends.", "ours"),
    R("local:rules:schema-pattern", "A text is made for a pattern.", "ours"),
    R(
        "local:rules:structured",
        "A structured-output request is answered with schema-valid JSON.",
        "issue: embedded service",
    ),
    R(
        "local:rules:structured-forms",
        "A format, a list of formats, JSON without a schema and the older fields are understood.",
        "API: structured output",
    ),
    R("local:rules:structured-results", "Structured output after a function call holds its result.", "ours"),
    R("local:rules:structured-media", "A format that is no text ends the turn as failed, with its name.", "ours"),
    R("local:rules:media", "Media is acknowledged by kind, type and size.", "ours"),
    R("local:rules:total", "Any input has an answer.", "ours"),
    R("local:rules:bounded", "A very long prompt is looked through in bounded time.", "ours"),
    R("local:rules:code", "Python in the prompt is really run in the sandbox.", "issue: embedded service"),
    R(
        "local:rules:code-failed",
        "A program that fails is a failed code_execution_result that names what is missing.",
        "issue: embedded service",
    ),
    R(
        "local:rules:code-declared",
        "A model runs programs only where code_execution is declared or there is an environment.",
        "API: code execution",
    ),
    R("local:rules:code-cancel", "A cancelled turn stops its program.", "issue: embedded service"),
    R(
        "local:rules:table",
        "A CSV in the environment is analysed by a program that leaves summary.csv and report.md.",
        "issue: embedded service",
    ),
    R(
        "local:rules:table-missing",
        "A file that cannot be analysed is named, with those that are there.",
        "issue: embedded service",
    ),
    R("local:rules:table-memory", "What the user said is not looked for in a file.", "ours"),
    R(
        "local:rules:files",
        "An agent lists, reads and writes files of its workspace as server-made calls with results.",
        "API: Antigravity agent",
    ),
    R("local:rules:files-refused", "No path leads out of the workspace; what cannot be read is said.", "ours"),
    R("local:rules:files-many", "A workspace of very many files is listed up to a bound.", "ours"),
    R("local:rules:servers", "A registered Python callable stands in for a server tool.", "issue: embedded service"),
    R("local:rules:servers-failed", "A callable that raises is a failed result.", "ours"),
    R(
        "local:rules:research",
        "A research agent reports in sections and says that nothing was read.",
        "issue: embedded service",
    ),
    R(
        "local:rules:research-plan",
        "With collaborative_planning there is a plan, without it the report.",
        "API: deep research",
    ),
    R("local:rules:role", "A custom agent tells its instructions to who asks for its role.", "ours"),
    R(
        "local:rules:task",
        "A task of no rule is several steps of real work that leave a plan.",
        "issue: embedded service",
    ),
    R(
        "local:scripted",
        "ScriptedResponder plays its turns in order and keeps the turns it saw.",
        "issue: embedded service",
    ),
    R("local:scripted:errors", "A script raises what it holds, and a clear error when it is used up.", "ours"),
    R(
        "local:rules:quotes",
        "A question kept for later is answered from what other speakers were quoted with.",
        "issue: first interface",
    ),
    R(
        "local:sandbox",
        "A program runs on real files below /workspace, which is its working directory.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:isolation",
        "Nothing of the host is visible but the workspace, and runs share nothing but files.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:subset",
        "A program that needs more than the subset of Python fails with the name of what is missing.",
        "ours: design of the sandbox",
    ),
    R(
        "local:sandbox:errors",
        "A failure says what and where, keeps what was printed before, and wrong arguments are refused by name.",
        "ours",
    ),
    R(
        "local:sandbox:limits",
        "Time, memory, output and file-call limits hold for computing, sleeping and writing programs alike.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:cancel",
        "Cancelling a run really stops its program and leaves the pool usable.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:parallel",
        "The event loop stays responsive and twenty programs at once each get their own result.",
        "issue: embedded service",
    ),
    R(
        "local:sandbox:close",
        "Closing is bounded, ends what runs and refuses what comes.",
        "ours: design of the sandbox",
    ),
    R(
        "local:sandbox:exit",
        "A cancelled, timed-out or forgotten program neither aborts the process at exit nor keeps it alive.",
        "ours: design of the sandbox",
    ),
    R("local:sandbox:install", "A missing extra is named, and nothing is imported before the first run.", "ours"),
    R(
        "local:analysis",
        "A CSV is profiled and grouped into summary.csv and report.md: count, sum, mean, min and max per text value.",
        "issue: embedded service",
    ),
    R("local:analysis:exact", "The figures equal an independent computation.", "ours"),
    R(
        "local:analysis:shapes",
        "Header-only, ragged, delimited, marked, wide, mixed and high-cardinality files are handled, nothing silently.",
        "ours",
    ),
    R("local:analysis:errors", "What cannot be analysed fails in words that name the file.", "ours"),
    R("local:analysis:answer", "The answer names each group with the figure asked for.", "issue: embedded service"),
    R("local:analysis:large", "32 MB and a million rows are analysed within 20 s and 256 MB.", "issue: demo"),
)

HTTP: tuple[Requirement, ...] = (
    R("http:create", "A create answers 200 with the interaction as JSON.", "API: interactions.create"),
    R("http:versions", "Every version segment and the form of Vertex are the same service.", "issue: embedded service"),
    R("http:stream", "A stream is server-sent events with event ids, closed by [DONE].", "API: streaming"),
    R(
        "http:stream:resume",
        "A stream is resumed from an event id and replayed from the start.",
        "issue: embedded service",
    ),
    R("http:stream:live", "Events arrive while the turn still runs.", "API: streaming"),
    R("http:stream:refused", "What is wrong before the first event is a plain error.", "API: errors"),
    R("http:stream:errors", "What goes wrong inside a stream is an error event.", "API: streaming"),
    R("http:stream:cut", "A stream that its backend lost is cut and not closed.", "issue: embedded service"),
    R("http:disconnect", "A client that goes away leaves a stored turn running.", "API: background"),
    R(
        "http:lifecycle",
        "Function calls, cancelling and deleting over HTTP answer exactly 200.",
        "issue: embedded service",
    ),
    R("http:errors", "Errors have the API's form and status and show no inside.", "issue: embedded service"),
    R("http:errors:routes", "A path that is none is 404 and a wrong method 405, in the API's form.", "ours"),
    R("http:body", "A body that is no request is 400 and says why.", "issue: embedded service"),
    R("http:body:limit", "A body that is too large is 413.", "issue: embedded service"),
    R("http:query", "A query value that makes no sense is 400.", "ours"),
    R("http:key", "Every request needs the key where one is set.", "issue: embedded service"),
    R("http:agents", "Agents are managed over HTTP.", "issue: embedded service"),
    R("http:pages", "Pages neither skip nor repeat while things come and go.", "API: lists"),
    R("http:environments", "Environments and their files are managed over HTTP, path-safe.", "issue: embedded service"),
    R("http:upload", "A file is uploaded in two steps or in pieces.", "API: environments"),
    R("http:upload:refused", "An upload that cannot be is refused.", "API: environments"),
    R("http:upload:forgotten", "Uploads that nobody finishes do not pile up.", "ours"),
    R("http:controls", "The test controls work over HTTP.", "issue: embedded service"),
    R("http:switches", "The switches show on the wire.", "issue: disputed behaviours"),
    R("http:concurrent", "Many streams at a time each get their own.", "ours"),
    R(
        "http:other-clients",
        "A client of this API that is not Google's works against the served stand-in.",
        "issue: embedded service",
    ),
    R(
        "http:our-client",
        "Our own client passes under both settings of everything in dispute.",
        "issue: embedded service",
    ),
    R(
        "http:official-sdk",
        "The unmodified official SDK, 2.34 and 3.x, drives the served stand-in through all of it.",
        "issue: embedded service",
    ),
)

LANGGRAPH: tuple[Requirement, ...] = (
    R("langgraph:chat:answer", "An answer has text, id, status, model name and usage, streamed or not.", "ours"),
    R(
        "langgraph:chat:chunks",
        "Chunks carry the id first, text and arguments as they come (also from step.start), status and usage once at the end.",
        "API: streaming",
    ),
    R("langgraph:chat:one-path", "An unstreamed answer equals the merged stream in every field.", "ours"),
    R("langgraph:chat:resumed", "A step told once more after a broken connection is shown once.", "ours"),
    R(
        "langgraph:chat:invalid-calls",
        "Arguments that are no JSON object become an invalid call, never a call with a guess.",
        "ours",
    ),
    R(
        "langgraph:chat:server-calls",
        "A call that an agent's server answered itself is no tool call of the caller's.",
        "API: steps",
    ),
    R(
        "langgraph:chat:portable",
        "Content is text and media that every vendor can read; content_blocks show the rest.",
        "issue: langchain messages between vendors",
    ),
    R("langgraph:chat:v1", "With output_version v1 the content is LangChain's standard blocks.", "ours"),
    R(
        "langgraph:chat:v3",
        "Events of LangChain's third streaming protocol make a message that can be followed.",
        "ours",
    ),
    R("langgraph:chat:plain-data", "What rides in a message is plain JSON.", "ours"),
    R(
        "langgraph:chat:continuation",
        "A continued turn is one answer: the last id is followed, usage is the sum.",
        "API: requires_continuation",
    ),
    R(
        "langgraph:chat:status",
        "Partial turns are answers with their status; failed and cancelled ones raise with the interaction.",
        "API: status",
    ),
    R("langgraph:chat:usage", "Usage is told with its details, and unreported is not zero.", "API: usage"),
    R("langgraph:chat:errors", "What the service refuses reaches the caller as a typed error.", "ours"),
    R(
        "langgraph:chat:chained",
        "The server keeps the conversation: each turn sends only what is new, after the id before it.",
        "API: stateful conversations",
    ),
    R(
        "langgraph:chat:resent",
        "Tools, system instruction and settings are sent with every turn.",
        "API: what is not inherited",
    ),
    R(
        "langgraph:chat:edited",
        "An edited history is told anew; the server never answers from words that the graph no longer shows.",
        "issue: langchain-openai drops edits",
    ),
    R("langgraph:chat:explicit-parent", "A call may name the interaction it follows.", "ours"),
    R("langgraph:chat:off", "With session off nothing is stored at the service and everything is sent.", "API: store"),
    R(
        "langgraph:chat:foreign",
        "What another model said reaches the server once, as a quotation.",
        "issue: adk never tells of other agents",
    ),
    R("langgraph:chat:session-name", "Sessions of different names are different conversations.", "ours"),
    R(
        "langgraph:chat:nothing-new",
        "Asking again with nothing new is refused before it is sent.",
        "issue: langchain-openai sends an empty input",
    ),
    R(
        "langgraph:chat:request",
        "Settings of the model and of the call reach the request, those of the call first.",
        "ours",
    ),
    R("langgraph:chat:refused", "A setting that a call does not take is refused by name.", "ours"),
    R("langgraph:chat:environment", "Code runs in an environment that the answer names.", "API: environments"),
    R(
        "langgraph:chat:agent",
        "A managed agent answers through the same class, without what agents do not take.",
        "API: agents",
    ),
    R(
        "langgraph:chat:setup",
        "Exactly one of model and agent, a key or address or backend, no unknown parameter, no key in any text.",
        "ours",
    ),
    R("langgraph:chat:cache-key", "The cache key holds all that an answer depends on.", "ours"),
    R(
        "langgraph:chat:loops",
        "One model object serves several event loops and threads.",
        "issue: google-genai clients close on collection",
    ),
    R(
        "langgraph:replay:gone",
        "A parent that is gone is replaced by one replay, logged with the reason.",
        "issue: agno 9240",
    ),
    R(
        "langgraph:replay:steps",
        "A replay sends the session's own steps, signatures included, untouched.",
        "API: stateless mode",
    ),
    R("langgraph:chain:follows", "A turn follows the latest answer of its session.", "ours"),
    R("langgraph:chain:edited", "What differs from what the server was told is never followed.", "ours"),
    R("langgraph:chain:session", "An answer of another account, place or session is not followed.", "ours"),
    R("langgraph:chain:digest", "The digest sees meaning and order, not LangChain's forms.", "ours"),
    R("langgraph:chain:steps", "An answer's steps hold while the message shows what they say.", "ours"),
    R("langgraph:messages:content", "Every form of a content block becomes the API's content.", "ours"),
    R("langgraph:messages:refused", "A message or part that cannot be sent is refused by place and kind.", "ours"),
    R("langgraph:messages:system", "System messages become one instruction.", "API: system_instruction"),
    R(
        "langgraph:messages:tools",
        "Calls and results become steps, in LangChain's and Anthropic's forms.",
        "API: function calling",
    ),
    R("langgraph:messages:empty", "An empty human message is still a turn.", "ours"),
    R(
        "langgraph:messages:foreign",
        "Another speaker's words, calls and results are quoted with the author, cut at a stated length.",
        "ours",
    ),
    R("langgraph:messages:start", "Only the messages from the start on become steps.", "ours"),
    R("langgraph:tools:forms", "Every form of a function becomes the API's function.", "ours"),
    R("langgraph:tools:builtin", "The API's own tools go in as they are.", "API: tools"),
    R("langgraph:tools:refused", "A tool the API does not have is refused by place, with what there is.", "ours"),
    R(
        "langgraph:tools:choice",
        "Every form of tool choice is understood, and a name that is no tool is refused.",
        "API: tool_choice",
    ),
    R(
        "langgraph:structured:methods",
        "Structured answers come by schema, by function call and as JSON, with the raw answer beside them.",
        "ours",
    ),
    R(
        "langgraph:structured:formats",
        "OpenAI's response_format, classes and schemas are translated.",
        "issue: langchain ProviderStrategy",
    ),
    R("langgraph:graph:new-only", "A three-turn graph with a checkpointer sends only what is new.", "ours"),
    R("langgraph:graph:time-travel", "A fork follows the interaction of its own checkpoint.", "ours"),
    R("langgraph:graph:create-agent", "create_agent runs its tool loop over several turns, sync and async.", "ours"),
    R("langgraph:graph:response-format", "create_agent gets structured responses by both of its strategies.", "ours"),
    R("langgraph:graph:deepagents", "A deep agent runs on the chat model.", "ours"),
    R(
        "langgraph:agent-node:result",
        "A managed agent's run leaves text, environment, files and usage as plain data.",
        "ours",
    ),
    R("langgraph:agent-node:live", "Every step is shown once, in order, while the run goes on.", "ours"),
    R("langgraph:agent-node:sync", "The node runs without an event loop.", "ours"),
    R("langgraph:agent-node:alone", "The node runs outside of a graph.", "ours"),
    R("langgraph:agent-node:input", "Its input is the conversation, or what callables make of the state.", "ours"),
    R("langgraph:agent-node:session", "A session is told the agent's answer once, as a quotation.", "ours"),
    R(
        "langgraph:agent-node:status",
        "Partial runs give what there is; failed, cancelled and waiting ones raise.",
        "API: status",
    ),
    R(
        "langgraph:agent-node:abandoned",
        "A cancelled graph run cancels the interaction or lets it go on, as told, within a bound.",
        "issue: cancel never reaches the server",
    ),
    R("langgraph:agent-node:deadline", "Past its deadline a run is given up by id.", "ours"),
    R(
        "langgraph:agent-node:polling",
        "Where streams break the run is looked at until it ends, with no step lost or doubled.",
        "ours",
    ),
    R(
        "langgraph:agent-node:files",
        "Files that cannot be listed do not cost the answer; long lists are cut and say so.",
        "ours",
    ),
    R("langgraph:agent-node:errors", "An error while waiting names the interaction.", "ours"),
    R("langgraph:agent-node:setup", "Impossible settings and backends are refused when the node is made.", "ours"),
    R("langgraph:state", "The latest interaction of each name is kept in the state.", "ours"),
    R("langgraph:standard:unit", "LangChain's unit suite for chat models passes.", "langchain-tests"),
    R(
        "langgraph:standard:integration",
        "LangChain's integration suite for chat models passes on the embedded service, media from local stand-ins.",
        "langchain-tests",
    ),
)

CLI: tuple[Requirement, ...] = (
    R("cli:commands", "The command line helps, and refuses what it does not know.", "ours"),
    R("cli:serve", "serve prints its address once it answers, and ends with 0.", "issue: embedded service"),
    R(
        "cli:serve:restart",
        "serve keeps its data over a restart, and ends running jobs and their streams.",
        "issue: embedded service",
    ),
    R("cli:serve:key", "serve wants the key on every request where one is set.", "issue: embedded service"),
    R("cli:serve:settings", "Retention, test controls and switches reach the service.", "issue: embedded service"),
    R("cli:serve:refused", "What cannot be served is one clear line and a status.", "issue: embedded service"),
    R("cli:serve:ipv6", "serve listens on IPv6 too.", "ours"),
    R("cli:demo", "The demo answers a question from a real analysis of a real file.", "issue: first interface"),
    R("cli:demo:files", "The demo names and saves the files that the agent left.", "issue: first interface"),
    R(
        "cli:demo:bytes",
        "The session is not sent the history again, and the demo shows the bytes.",
        "issue: first interface",
    ),
    R("cli:demo:upload", "A file over 1 MB is uploaded to the environment.", "issue: first interface"),
    R(
        "cli:demo:refusals",
        "A file that cannot be used gets one short line that names it, and exit status 2.",
        "issue: first interface",
    ),
    R("cli:demo:live", "Live runs need a key and show first what will leave the machine.", "issue: first interface"),
    R("cli:demo:show", "The demo shows each step as it happens, and no data drives the terminal.", "ours"),
)

REPO: tuple[Requirement, ...] = (
    R("repo:manifest", "Every promise has a test, every test names its promise, every skip has a reason here.", "ours"),
    R("repo:layers", "The rooms import each other only as the house allows.", "ours"),
    R(
        "repo:layers:broken",
        "An import against the house breaks a contract, which names the module and its line.",
        "ours",
    ),
    R("repo:blocking", "A call of the library that blocks an event loop fails the test that makes it.", "ours"),
    R("repo:make", "make refuses an unfit Python in one line, and no recipe sees a vendor's key.", "ours"),
    R("repo:clients", "Independent clients run in locked environments of their own.", "ours"),
    R("repo:import", "Importing bridge loads no room that is not asked for.", "ours"),
    R("repo:exports", "Every public name is listed, exists and is documented.", "ours"),
    R(
        "repo:wheel",
        "The built wheel installs over the locked versions, and part of the tests passes against it.",
        "ours",
    ),
    R("repo:readme", "The examples in the README run and do what they say.", "ours"),
    R("repo:notebook", "The notebooks run from top to bottom.", "ours"),
    R("repo:offline", "Tests reach no host but this machine, and see no vendor key.", "ours"),
    R("repo:locks", "No committed file names a package registry's host, and every lock carries hashes.", "ours"),
)

REQUIREMENTS: tuple[Requirement, ...] = (*MODEL, *GEMINI, *LOCAL, *HTTP, *LANGGRAPH, *CLI, *REPO)

# Why a test may be skipped: the reason a skip gives must begin with one of these.
SKIPS: dict[str, str] = {
    "Model is not serializable": "LangChain loads only classes of its own list; a third party's must not claim to be one.",
    "VCR not set up": "LangChain's suite would compare recordings of the internet; the service here answers itself.",
    "campaign": "Too long for every run; `make campaign` runs it.",
}
