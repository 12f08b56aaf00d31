"""The one error tree of maxcos.

Every error says what is wrong and what to do about it in its message, whether trying again may help (`retryable`),
which HTTP status it becomes at the edge (`status`), and what is told there (`told`).
"""

from __future__ import annotations

from dataclasses import dataclass


class MaxcosError(Exception):
    """Base of every error that maxcos raises on purpose."""

    retryable = False
    status = 500
    title = "Internal error"

    @property
    def told(self) -> str | None:
        """What a caller of the service learns of it; None: nothing, since it tells of this machine or those behind."""
        return None if self.status == 500 else str(self)


class SettingsError(MaxcosError):
    """The settings are wrong: an unknown name, a missing value, an impossible combination."""

    title = "Settings are wrong"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that is wrong with one field of a request (`field` as a dotted path)."""

    field: str
    message: str


class InvalidRequest(MaxcosError):
    """The request cannot be understood; `problems` names each offending field."""

    status = 400
    title = "Invalid request"

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))
        self.problems = problems

    @classmethod
    def at(cls, field: str, message: str) -> InvalidRequest:
        return cls(FieldProblem(field, message))


class KeyRefused(MaxcosError):
    """The caller shows no key, or one that is not known."""

    status = 401
    title = "Key needed"


class Forbidden(MaxcosError):
    """The caller is known, or need not be, and may not do this."""

    status = 403
    title = "Forbidden"


class TooManyRequests(MaxcosError):
    """The caller has used up what it may ask for in a while. seconds: after how many it is worth another try."""

    status = 429
    title = "Too many requests"

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class ItemNotFound(MaxcosError):
    """No item has that id."""

    status = 404
    title = "Item not found"


class BadInput(MaxcosError):
    """One record, picture or text that cannot be encoded; the rest of a batch goes on without it."""

    status = 422
    title = "Input cannot be encoded"


class BadTerm(BadInput):
    """A term of a query that cannot be encoded because of one of its members."""

    def __init__(self, member: str, message: str) -> None:
        super().__init__(message)
        self.member = member


class NothingToSearch(MaxcosError):
    """The query reaches no modality and no text of the index."""

    status = 422
    title = "The query reaches nothing"


class JudgmentsError(MaxcosError):
    """Judged queries that cannot be read, or that the index cannot be asked."""

    title = "Judgments are wrong"


class CalibrationError(MaxcosError):
    """There is nothing to calibrate with: no queries with known answers."""

    title = "Cannot calibrate"


class AlignmentError(MaxcosError):
    """There is nothing to align with: no encoder that can be, or too few items with both a picture and a title."""

    title = "Cannot align"


class RebuildFailed(MaxcosError):
    """The rebuilt index must not take the old one's place; readers still find the old one."""

    title = "Not rebuilt"


class EncoderError(MaxcosError):
    """An encoder cannot be loaded or failed as a whole (not: one bad input)."""

    status = 503
    title = "Encoder unavailable"

    @property
    def told(self) -> str:
        return "an encoder cannot be loaded or failed; the service's log has the reason under this request_id"


class ProvenanceMismatch(MaxcosError):
    """The index was built with other encoders, dimensions or analysis than the settings ask for."""

    status = 503
    title = "Index and settings disagree"


class IndexMissing(MaxcosError):
    """The index does not exist yet."""

    status = 503
    title = "Index missing"

    @property
    def told(self) -> str:
        return "the index does not exist yet: run maxcos ingest first"


class EngineError(MaxcosError):
    """The engine refused or failed a request."""

    status = 502
    title = "Engine error"


class EngineRefused(EngineError):
    """A cluster answered with an HTTP error that trying again does not help.

    code: the HTTP status. kind: the type of the root cause, such as index_not_found_exception; may be empty. reason:
    the causes in the engine's words.
    """

    def __init__(self, code: int, kind: str, reason: str) -> None:
        super().__init__(f"the engine answers {code}: {reason}")
        self.code = code
        self.kind = kind
        self.reason = reason


class AccessRefused(EngineRefused):
    """A cluster does not know who asks (401), or that one may not do this (403)."""

    status = 503
    title = "Engine refuses access"

    def __str__(self) -> str:
        return f"{self.told}; the engine answers {self.code}: {self.reason}"

    @property
    def told(self) -> str:
        if self.code == 401:
            return (
                "the engine does not accept who asks: check MAXCOS_ENGINE__API_KEY, "
                "or engine.username with MAXCOS_ENGINE__PASSWORD"
            )
        return "the engine's API key or user lacks a privilege (docs/security.md lists what is needed)"


class EngineUntrusted(EngineError):
    """Who answers at the engine's address does not prove by a certificate to be the engine. reason: the client's."""

    status = 503
    title = "Engine not trusted"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.told}; {self.reason}"

    @property
    def told(self) -> str:
        return "the engine's certificate cannot be verified: check engine.url and engine.ca_certs"


class EngineUnavailable(EngineError):
    """The engine cannot be reached or answers that it is overloaded. code: the HTTP status, 0 without an answer."""

    retryable = True
    status = 503
    title = "Engine unavailable"

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class EngineUnreachable(EngineUnavailable):
    """Nothing answers at the engine's address."""

    @property
    def told(self) -> str:
        return "the engine cannot be reached"
