#!/usr/bin/env python3
"""Provision and run real search engines on loopback, without a container engine.

    python docker/engine.py start opensearch-3 [--port P]      print the URL of a healthy node
    python docker/engine.py start elasticsearch-9-secured      the same with TLS and users
    python docker/engine.py start opensearch-3 --nodes 3       print the URLs of a cluster's nodes, one a line
    python docker/engine.py kill opensearch-3 2                kill -9 the second of them; the same start revives it
    python docker/engine.py stop opensearch-3 --cluster
    python docker/engine.py stop elasticsearch-9|all
    python docker/engine.py fetch elasticsearch-8              download and unpack only
    python docker/engine.py status

An engine is put together from artifacts in a Maven repository: the distribution that its makers publish for
integration tests, and what that one leaves out (Painless and other modules of Elasticsearch, OpenSearch's k-NN
plugin). Every artifact is pinned by its sha256. Only results go to stdout; progress goes to stderr.

Environment:
    MAXCOS_CACHE      where engines and their data live (default ~/.cache/maxcos; for root, /var/cache/maxcos)
    MAXCOS_JAVA_HOME  the JDK to use, instead of the oldest suitable one found
    MAXCOS_ES_HEAP    heap of a node of any engine, as a JVM size (default 512m; in a cluster 384m)
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Sequence

from provision.catalogue import ENGINES, Engine
from provision.commands import fetch, kill, start, start_cluster, status_lines, stop, stop_cluster
from provision.host import EngineError, say
from provision.node import MOST_NODES


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, parsed."""
    parser = argparse.ArgumentParser(description="Run real search engines on loopback, without containers.")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start", help="have a healthy node running, and print its URL")
    starting.add_argument("engine", choices=ENGINES)
    starting.add_argument("--port", type=int, help="port of the (first) node (each engine has a default of its own)")
    several = range(2, MOST_NODES + 1)
    nodes_help = f"a cluster of N new nodes, up to {MOST_NODES}, ten ports from one to the next, beside the node alone"
    starting.add_argument("--nodes", type=int, choices=several, metavar="N", help=nodes_help)
    stopping = commands.add_parser("stop", help="stop a node, or all of them; their data stays")
    stopping.add_argument("engine", choices=[*ENGINES, "all"])
    stopping.add_argument("--cluster", action="store_true", help="stop the nodes of a cluster, not the node alone")
    killing = commands.add_parser("kill", help="kill -9 a node of a cluster")
    killing.add_argument("engine", choices=ENGINES)
    killing.add_argument("node", type=int, help="its number, from 1 on")
    fetching = commands.add_parser("fetch", help="download, verify and unpack only")
    fetching.add_argument("engine", choices=ENGINES)
    commands.add_parser("status", help="say which engines are there, and which run")
    return parser.parse_args(arguments)


def execute(options: argparse.Namespace) -> None:
    """Carry out one parsed command. Raises EngineError if it fails."""
    if options.command == "status":
        _print(line for engine in ENGINES.values() for line in status_lines(engine))
    elif options.command == "stop":
        for engine in ENGINES.values():
            if options.engine in (engine.name, "all"):
                _stop(engine, everything=options.engine == "all", cluster=options.cluster)
    elif options.command == "kill":
        kill(ENGINES[options.engine], options.node)
    elif options.command == "fetch":
        fetch(ENGINES[options.engine])
    elif options.nodes is not None:
        _print(start_cluster(ENGINES[options.engine], options.nodes, options.port))
    else:
        _print([start(ENGINES[options.engine], options.port)])


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _stop(engine: Engine, *, everything: bool, cluster: bool) -> None:
    if cluster or everything:
        stop_cluster(engine)
    if not cluster:
        stop(engine)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status (argparse exits with 2 on a wrong one)."""
    options = parse(arguments)
    # Folders that we make must be open to the user that the engine runs as.
    os.umask(0o022)
    # Unwind on SIGTERM too, so that a start that is cut short takes its half-booted node with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        execute(options)
    except (EngineError, OSError) as error:
        say(f"engine.py: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
