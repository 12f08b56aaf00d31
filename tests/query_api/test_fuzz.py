"""Generated requests against the running service: no 5xx, and every answer is as the description says.

docs/service.md has the command for more of them.
"""

from __future__ import annotations

from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode

REQUESTS = 15
"""Per route, as the description says and otherwise."""

CONFIG = Path(__file__).parents[1] / "support" / "schemathesis.toml"


def test_whatever_is_asked_the_answer_is_as_described(service: str) -> None:
    schema = schemathesis.openapi.from_url(f"{service}/openapi.json", config=schemathesis.Config.from_path(CONFIG))
    asked = []

    def ask(case: Case) -> None:
        asked.append(case)
        case.call_and_validate()

    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            if mode.is_negative and not (operation.query or operation.body):
                continue
            requests = operation.as_strategy(generation_mode=mode)
            limits = settings(max_examples=REQUESTS, derandomize=True, suppress_health_check=list(HealthCheck))
            limits(given(case=requests)(ask))()
    assert len(asked) > 10 * REQUESTS
