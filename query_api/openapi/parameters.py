"""The parameters of addresses, for the description; `query_api.app` reads and checks them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from es_mappings.types import FusionMethod
from query_api.limits import MAX_ENTITIES, MAX_SIZE, MAX_SUGGESTIONS, MAX_TEXT, MAX_TYPED, MAX_WINDOW

Size = Annotated[int, Field(ge=0, le=MAX_SIZE, description="How many hits.", examples=[5])]
From = Annotated[int, Field(ge=0, le=MAX_WINDOW, alias="from", description="How many hits to pass over.")]


class SearchParameters(BaseModel):
    q: str = Field(min_length=1, max_length=MAX_TEXT, description="Words, in any language.", examples=["sofa"])
    size: Size = 10
    from_: From = 0
    fusion: FusionMethod = Field("hybrid", description="How modalities and words become one score.")
    after: str = Field("", min_length=1, description='"*" begins a walk through all hits, `next` continues it.')


class SuggestParameters(BaseModel):
    q: str = Field(min_length=1, max_length=MAX_TYPED, description="What was typed so far.", examples=["arm"])
    size: int = Field(8, ge=1, le=MAX_SUGGESTIONS, description="How many titles.")


class EntitiesParameters(BaseModel):
    q: str = Field(min_length=1, max_length=MAX_TYPED, description="A name, or its beginning.", examples=["couch"])
    size: int = Field(10, ge=1, le=MAX_ENTITIES, description="How many entities.")


class SimilarParameters(BaseModel):
    size: Size = 10
    from_: From = 0
    modalities: str = Field("", min_length=1, description="Only these, separated by commas.", examples=["image,graph"])
