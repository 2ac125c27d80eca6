"""`interactions-bridge jobs`: what a graph's job store knows, for people and for programs, and the few things that are done to a job by hand.

This has the arguments, opens the store, and turns errors into one line. What is read is `reading`'s, what acts is `acting`'s, how it looks
`show`'s.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, InvalidRequest, NotConfigured

from ..stores import store_of

if TYPE_CHECKING:
    from bridge.jobs.stores.sql import SqlJobStore

__all__ = ["add_arguments", "run"]

_LIMIT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs and their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--store",
        metavar="PATH|DSN",
        help="the job store: an SQLite file or a Postgres DSN (default: the file in the user's data folder)",
    )
    common.add_argument("--json", action="store_true", help="print JSON")
    service = argparse.ArgumentParser(add_help=False)
    service.add_argument("--base-url", metavar="URL", help="where the service is (default: as in the environment)")
    service.add_argument(
        "--api-key", metavar="KEY", help="better in GEMINI_API_KEY or GOOGLE_API_KEY: arguments are visible"
    )
    narrowed = argparse.ArgumentParser(add_help=False)
    narrowed.add_argument("--thread", help="only jobs of this thread")
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("id", metavar="ID", help="a job's interaction, or its token")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    listing = verbs.add_parser("list", parents=[common, narrowed], help="the jobs, newest first")
    listing.add_argument("--state", choices=["intended", "running", "settled"], help="only jobs of this state")
    listing.add_argument(
        "--limit", metavar="N", type=_count, default=_LIMIT, help="so many at most (default: %(default)s)"
    )
    verbs.add_parser("show", parents=[common, one], help="one job: its row, its terms, its steps")
    verbs.add_parser("usage", parents=[common, narrowed], help="tokens and money by thread, node and interaction")
    verbs.add_parser("cancel", parents=[common, service, one], help="stop a job's interaction and see that it ended")
    verbs.add_parser("watch", parents=[common, service, one], help="follow a job's steps until it ends")
    binding = verbs.add_parser("bind", parents=[common], help="say which interaction a job started")
    binding.add_argument("token", metavar="TOKEN", help="the job's token")
    binding.add_argument("id", metavar="ID", help="the interaction that carries the token in its label bridge-job")
    pruning = verbs.add_parser("prune", parents=[common], help="forget jobs that are long over, with their steps")
    pruning.add_argument("--days", metavar="N", type=_days, required=True, help="those settled more than N days ago")


def run(args: argparse.Namespace) -> int:
    """Does what was asked. Gives 0, 1 where it failed, 2 where it was asked wrongly, 130 where a watch was left."""
    try:
        if not args.json:
            _need_rich()
        return asyncio.run(_run(args, store_of(args.store, make=False)))
    except KeyboardInterrupt:
        left = "its interaction runs on; " if args.verb == "watch" else ""
        again = (
            f"`interactions-bridge jobs watch {args.id}` follows it again"
            if left
            else "what was asked may be half done"
        )
        print(f"interactions-bridge jobs: left; {left}{again}", file=sys.stderr)
        return 130
    except (InvalidRequest, NotConfigured) as error:
        return _failed(error, 2)
    except BridgeError as error:
        return _failed(error, 1)


async def _run(args: argparse.Namespace, store: SqlJobStore) -> int:
    from . import acting, reading

    async with aclosing(store):
        verb = getattr(reading, f"{args.verb}_", None) or getattr(acting, f"{args.verb}_")
        return int(await verb(store, args))


def _need_rich() -> None:
    try:
        import rich  # noqa: F401
    except ImportError:
        raise NotConfigured("tables need rich: pip install 'interactions-bridge[cli]', or pass --json") from None


def _failed(error: BridgeError, status: int) -> int:
    print(f"interactions-bridge jobs: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 10**9:
        return int(text)
    raise argparse.ArgumentTypeError(f"it takes a number above 0, not {text!r}")


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if 0 <= days < float("inf"):
        return days
    raise argparse.ArgumentTypeError(f"it takes a number of days, 0 or more, not {text!r}")
