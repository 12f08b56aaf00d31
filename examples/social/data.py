"""Posts of a picture, a line of text in two languages and hashtags.

No collection of real posts comes in a package whose licence allows this, so one emoji is a post: its picture, its name
as the text, its keywords as hashtags, its place in Unicode's order as the channel.

Sources: emojibase-data 17.0.0 (npm, MIT; its words are from Unicode CLDR, Unicode License V3) and Microsoft's Fluent
Emoji (MIT) as packed in @lobehub/fluent-emoji-3d 1.1.0 (npm).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from examples.writing import Triple, report, write
from maxcos.demo import cache_folder
from maxcos.evaluation.datasets.packages import npm

DATA = Path(__file__).parent / "data"
NOTICE = """Words: emojibase-data 17.0.0 (MIT), after Unicode CLDR (Unicode License V3).
Pictures: Fluent Emoji, Microsoft (MIT), as in @lobehub/fluent-emoji-3d 1.1.0.
"""

Emoji = Mapping[str, Any]


@click.command()
@click.option("--posts", type=click.IntRange(1), help="Only so many, the first in Unicode's order. Default: all.")
def main(posts: int | None) -> None:
    """Write posts and their pictures into data/, beside this file."""
    report(partial(write_posts, posts), DATA)


def write_posts(most: int | None) -> int:
    """How many there are. Raises SettingsError when they cannot be had."""
    words = npm("emojibase-data", "17.0.0", cache_folder())
    art = npm("@lobehub/fluent-emoji-3d", "1.1.0", cache_folder()) / "assets"
    english, chinese = (_read(words / language / "data.json") for language in ("en", "zh"))
    labels = {emoji["hexcode"]: emoji["label"] for emoji in chinese}
    channels = {group["order"]: group["message"] for group in _read(words / "en" / "messages.json")["groups"]}
    drawn = (emoji for emoji in sorted(english, key=_place) if "group" in emoji and (art / _picture(emoji)).is_file())
    emojis = list(islice(drawn, most))
    pictures = DATA / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for emoji in emojis:
        shutil.copyfile(art / _picture(emoji), pictures / _picture(emoji))
    return write(
        DATA,
        (post(emoji, labels.get(emoji["hexcode"]), channels) for emoji in emojis),
        (row for emoji in emojis for row in triples(emoji)),
        (row for emoji in emojis for row in names(emoji, channels)),
        NOTICE,
    )


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _place(emoji: Emoji) -> int:
    return int(emoji.get("order", 10**6))


def _picture(emoji: Emoji) -> str:
    return f"{emoji['hexcode'].lower()}.webp"


def post(emoji: Emoji, chinese: str | None, channels: Mapping[int, str]) -> dict[str, Any]:
    """What is searched, shown and filtered by."""
    return {
        "id": emoji["hexcode"].lower(),
        "text": emoji["label"],
        "text_zh": chinese,
        "hashtags": emoji.get("tags", []),
        "channel": channels[emoji["group"]],
        "image": f"pictures/{_picture(emoji)}",
    }


def triples(emoji: Emoji) -> Iterator[Triple]:
    """What a post is linked to."""
    code = emoji["hexcode"].lower()
    yield code, "in_channel", f"channel:{emoji['group']}"
    for tag in emoji.get("tags", ()):
        yield code, "has_tag", f"tag:{tag}"


def names(emoji: Emoji, channels: Mapping[int, str]) -> Iterator[Triple]:
    """Entity, language, name."""
    yield f"channel:{emoji['group']}", "en", channels[emoji["group"]]
    for tag in emoji.get("tags", ()):
        yield f"tag:{tag}", "en", tag


if __name__ == "__main__":
    main()
