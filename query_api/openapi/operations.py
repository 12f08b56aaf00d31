"""What each route says of itself; `query_api.app` attaches these to its views, whose docstrings are the summaries."""

from __future__ import annotations

from query_api.form import RecommendModel, SearchModel, WhyModel
from query_api.openapi import answers
from query_api.openapi.describe import Operation
from query_api.openapi.examples import EXPLANATIONS, ITEM, RECOMMENDATIONS, SEARCHES
from query_api.openapi.parameters import EntitiesParameters, SearchParameters, SimilarParameters, SuggestParameters

PLACE = {"identifier": ITEM}
ENGINE = (502,)
"""The engine refused."""
QUERY = (422, *ENGINE)
"""What the query asks reaches nothing, or its picture cannot be read."""

SEARCH_BY_WORDS = Operation("search", "search", answers.SearchAnswer, parameters=SearchParameters, refusals=QUERY)
SEARCH_BY_BODY = Operation(
    "search",
    "search",
    answers.SearchAnswer,
    body=SearchModel,
    picture=True,
    refusals=(413, 429, *QUERY),
    examples=SEARCHES,
)
WHY = Operation(
    "search",
    "search",
    answers.WhyAnswer,
    body=WhyModel,
    picture=True,
    refusals=(404, 413, 429, *QUERY),
    cost=10,  # its words and its picture are encoded again and again with parts hidden
    examples=EXPLANATIONS,
)
RECOMMEND = Operation(
    "search",
    "search",
    answers.SearchAnswer,
    body=RecommendModel,
    refusals=(413, *QUERY),
    examples=RECOMMENDATIONS,
)
SUGGEST = Operation("search", "search", answers.SuggestAnswer, parameters=SuggestParameters, refusals=ENGINE)
ENTITIES = Operation("search", "search", answers.EntitiesAnswer, parameters=EntitiesParameters, refusals=QUERY)
IMAGE = Operation(
    "items",
    "search",
    ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"),
    refusals=(404, *ENGINE),
    kept=True,
    place=PLACE,
)
SIMILAR = Operation(
    "items", "search", answers.SearchAnswer, parameters=SimilarParameters, refusals=(404, *QUERY), place=PLACE
)
ITEM_BY_ID = Operation("items", "search", answers.ItemAnswer, refusals=(404, *ENGINE), kept=True, place=PLACE)
CONFIG = Operation("items", "search", answers.ConfigAnswer, kept=True)
ALIVE = Operation("operations", None, answers.AliveAnswer)
METRICS = Operation("operations", "admin", ("text/plain",))
READY = Operation("operations", None, answers.ReadyAnswer, refusals=ENGINE)
