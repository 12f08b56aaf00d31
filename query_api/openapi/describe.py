"""What a route says of itself: its form, its answer, its refusals, and who may call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

Scope = Literal["search", "admin"]

_V = TypeVar("_V", bound=Callable[..., Any])
_OPERATION = "maxcos_operation"


@dataclass(frozen=True, slots=True)
class Operation:
    """A route as its callers need to know it. Its summary is the first line of the view's docstring.

    tag: under which heading it stands. scope: what a key must be allowed to do; None for everybody. answer: the model
    of its JSON, or the media types of what it sends instead. body: the model of its JSON body. picture: whether the
    body may also come as multipart with a picture. parameters: the model of the address's parameters. refusals: the
    statuses of its problem documents, beside those that all have. kept: whether a caller may keep the answer, so that
    304 is one. cost: for how many requests one counts in its caller's rate. place: examples of the parameters in the
    path. examples: of bodies, by what they show.
    """

    tag: str
    scope: Scope | None
    answer: type[BaseModel] | tuple[str, ...]
    body: type[BaseModel] | None = None
    picture: bool = False
    parameters: type[BaseModel] | None = None
    refusals: tuple[int, ...] = ()
    kept: bool = False
    cost: int = 1
    place: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)


def described(operation: Operation) -> Callable[[_V], _V]:
    """Attach the description to a view."""

    def attach(view: _V) -> _V:
        view.__dict__[_OPERATION] = operation
        return view

    return attach


def operation_of(view: Callable[..., Any] | None) -> Operation | None:
    """The description that a view has, if it has one."""
    found = getattr(view, _OPERATION, None)
    return found if isinstance(found, Operation) else None


def names_of(parameters: type[BaseModel]) -> tuple[str, ...]:
    """The parameters' names as they stand in an address."""
    return tuple(field.alias or name for name, field in parameters.model_fields.items())
