"""Lines of JSON from many threads at once."""

from __future__ import annotations

import json
import subprocess
import sys

MANY_THREADS = """
import logging, logging.config, threading
from maxcos import logs
logging.config.dictConfig(logs.settings())
logger = logging.getLogger("maxcos.requests")
logger.addFilter(lambda record: "left out" not in record.getMessage())
def work(number):
    for step in range(200):
        logger.info("request", extra={"worker": number, "step": step, "path": "/v1/床" * number})
        logger.info("left out")
threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_do_not_write_into_each_others_lines() -> None:
    done = subprocess.run([sys.executable, "-c", MANY_THREADS], capture_output=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(line["worker"], line["step"]) for line in lines} == {(n, step) for n in range(16) for step in range(200)}
    assert len(lines) == 16 * 200
    assert all(line["path"] == "/v1/床" * line["worker"] for line in lines)
    assert not done.stderr


def test_a_closed_output_stops_nobody() -> None:
    code = MANY_THREADS + "print('end', flush=True, file=__import__('sys').stderr)"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith("end\n")
