"""Settings: one `maxcos.toml`, every value also from the environment (`MAXCOS_ENGINE__URL`), unknown names refused."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from es_mappings.errors import SettingsError

PREFIX = "MAXCOS_"
OTHER_VARIABLES = {"MAXCOS_CACHE", "MAXCOS_JAVA_HOME", "MAXCOS_ES_HEAP"}
"""Variables with our prefix that belong to the tools around maxcos, not to its settings."""

SECRETS = (("engine", "api_key"), ("engine", "password"), ("log", "hash_key"))
"""What does not belong into a file that is committed."""

FieldType = Literal["keyword", "number", "date", "boolean"]
NO_MODALITIES = frozenset({"lexical", "background", "id", "modalities", "encoded", "hash"})
"""What answers call a hit's words, what stands in for a missing modality, and what stands beside the vectors."""

STORE = "embedded:./store"
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?")
INDEX_NAME = r"^[a-z0-9][a-z0-9_.-]{0,200}$"
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
HEADER_VALUE = re.compile(r"[!-~]+")
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSettings(_Section):
    url: str = STORE
    index: str = Field("items", pattern=INDEX_NAME)
    shards: int = Field(1, ge=1, le=1024)
    replicas: int = Field(0, ge=0, le=10)
    timeout: float = Field(30.0, gt=0)
    patience: float = Field(300.0, ge=0)
    """Seconds for which ingestion goes on asking an engine that writes nothing: it is down, busy, or read-only."""
    username: str | None = None
    password: SecretStr | None = None
    api_key: SecretStr | None = None
    """Like the password only from the environment: a secret does not belong into a file that is committed."""
    ca_certs: Path | None = None
    """PEM; of an engine whose certificate no public authority vouches for."""
    cloud_id: str | None = None
    """Of a deployment in Elastic Cloud; `url` is made of it."""

    @model_validator(mode="before")
    @classmethod
    def _cloud(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("cloud_id"), str):
            return given
        if given.get("url", STORE) != STORE:  # the default is filled in before
            raise ValueError("give a url or a cloud_id, not both")
        return {**given, "url": _cloud_url(given["cloud_id"])}

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if self.password is not None and self.api_key is not None:
            raise ValueError("give an api_key or a password, not both")
        if self.username is not None and ":" in self.username:
            raise ValueError("a username has no colon: basic authentication ends it there")
        # As a header's value; what a client says of one that it cannot send holds the key.
        if self.api_key is not None and not HEADER_VALUE.fullmatch(self.api_key.get_secret_value()):
            raise ValueError("api_key must be the encoded key as the engine gave it, on one line")
        return self


class LexicalSettings(_Section):
    """`fields` are searched by BM25 ("name^boost"); `filters` are exact or ranged ("name" or "name:number").

    `nested` names fields that hold lists of objects whose own fields are filtered together ("variants", with
    "variants.colour" among the filters). `suggest` names the fields that complete what a user types: the first of
    `fields` unless it says more. `weight` and `saturation` are what BM25 counts for beside the modalities in `hybrid`:
    weight * b / (b + saturation) of a BM25 score b. A request may say another weight.
    """

    fields: tuple[str, ...] = ("title",)
    languages: tuple[Literal["en", "zh"], ...] = ("en", "zh")
    filters: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    suggest: tuple[str, ...] = ()
    weight: float = Field(0.3, ge=0, le=100)
    saturation: float = Field(8.0, gt=0, le=1000)

    @field_validator("fields")
    @classmethod
    def _boosts(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        for text in fields:
            name, caret, boost = text.partition("^")
            if not FIELD_NAME.fullmatch(name) or (caret and not re.fullmatch(r"\d+(\.\d+)?", boost)):
                raise ValueError(f"{text!r} is neither a field nor field^boost")
        return fields

    @field_validator("filters")
    @classmethod
    def _types(cls, filters: tuple[str, ...]) -> tuple[str, ...]:
        for text in filters:
            name, colon, kind = text.partition(":")
            if not FIELD_NAME.fullmatch(name) or (colon and kind not in {"keyword", "number", "date", "boolean"}):
                raise ValueError(f"{text!r} is neither a field nor field:keyword|number|date|boolean")
        return filters

    @model_validator(mode="after")
    def _facets_are_filters(self) -> Self:
        missing = set(self.facets) - {text.partition(":")[0] for text in self.filters}
        if missing:
            raise ValueError(f"facets {sorted(missing)} must be among the filters")
        return self

    @model_validator(mode="after")
    def _nested_objects(self) -> Self:
        filters = [text.partition(":")[0] for text in self.filters]
        for path in self.nested:
            if not FIELD_NAME.fullmatch(path) or "." in path:
                raise ValueError(f"nested: {path!r} is not the name of a field")
            if path in filters or not any(name.startswith(f"{path}.") for name in filters):
                raise ValueError(f"nested: the filters must have fields of {path!r} ({path}.something), not itself")
        inside = [name for name in self.facets if name.partition(".")[0] in self.nested]
        if inside:
            raise ValueError(f"facets {inside} are inside a nested object: only fields of the item are counted")
        return self

    @model_validator(mode="after")
    def _suggests_text(self) -> Self:
        missing = set(self.suggest) - {text.partition("^")[0] for text in self.fields}
        if missing:
            raise ValueError(f"suggest {sorted(missing)} must be among the fields")
        return self


class MemberSettings(_Section):
    """One of several encoders that make a modality's vectors together, with the options that such encoders share.

    weight: of its cosine in the mean of all.
    """

    encoder: str
    model: str
    weight: float = Field(1.0, gt=0, le=100)
    batch_size: int | None = None
    pooling: str | None = None
    prompts: dict[str, str] | None = None


class ModalitySettings(BaseModel):
    """One modality. Further names are options of its encoder, which refuses those it does not know.

    relations: by a record's field the relation of the knowledge graph that its values stand in to the item; an option
    too, but one that decides what is read of a record. members: of an ensemble. of: the modalities that one is made of,
    whose fields are its source.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    encoder: str
    model: str | None = None
    source: tuple[str, ...] = ()
    weight: float = Field(1.0, ge=0)
    relations: dict[str, str] = Field(default_factory=dict)
    members: tuple[MemberSettings, ...] = ()
    of: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a record that decide its vectors."""
        return tuple(dict.fromkeys((*self.source, *self.relations)))

    @field_validator("source", mode="before")
    @classmethod
    def _one_or_many(cls, source: Any) -> Any:
        return (source,) if isinstance(source, str) else source

    @model_validator(mode="after")
    def _reads_something(self) -> Self:
        if bool(self.source) == bool(self.of):
            raise ValueError("name the fields that it reads as source, or the modalities that it is made of as of")
        return self

    def options(self, *known: str) -> dict[str, Any]:
        """The encoder's own options. Raises SettingsError when one of them is not in `known`."""
        own = {"relations": self.relations, "members": self.members, "of": self.of}
        given = {**(self.model_extra or {}), **{name: value for name, value in own.items() if value}}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise SettingsError(
                f"the encoder {self.encoder!r} has no option {', '.join(unknown)}, only {', '.join(known) or 'none'}"
            )
        return given


class PageSettings(_Section):
    """What the search page shows of an item: the fields with its title and its picture's path below `media`."""

    title: str = "title"
    image: str | None = None
    media: Path = Path()


class ServiceSettings(_Section):
    """Who may ask the HTTP service, and how often.

    keys: the file of API keys (their hashes). public: whether searching needs none; callers without one are then told
    apart by their address. requests_per_minute: of each key, and of each such address. cors: the origins whose pages
    may call from a browser ("https://shop.example"), or "*". picture_hosts: the hosts that pictures of queries are
    fetched from by their addresses ("cdn.shop.example"), or "*" for any that is public. fields: what callers see of an
    item; all fields unless some are named.
    """

    keys: Path = Path("maxcos.keys.json")
    public: bool = False
    requests_per_minute: int = Field(600, ge=1, le=1_000_000)
    cors: tuple[str, ...] = ()
    picture_hosts: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @field_validator("picture_hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if host != "*" and not HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host: write its name alone, in lower-case letters, or *")
        return hosts

    @field_validator("cors")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin: write https://HOST or https://HOST:PORT, or *")
        return origins


class LogSettings(_Section):
    """The query log: an index beside that of the items, which holds one document per search. Off without `index`.

    texts: what it holds of the words that were searched: nothing, their HMAC (SHA-256) under `hash_key`, by which equal
    ones can be counted but not read, or themselves.
    """

    index: str | None = Field(None, pattern=INDEX_NAME)
    texts: Literal["none", "hashed", "plain"] = "none"
    hash_key: SecretStr | None = Field(None, min_length=16)
    """Only from the environment."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    engine: EngineSettings = EngineSettings()
    lexical: LexicalSettings = LexicalSettings()
    modalities: dict[str, ModalitySettings] = Field(default_factory=dict)
    page: PageSettings = PageSettings()
    service: ServiceSettings = ServiceSettings()
    log: LogSettings = LogSettings()

    @field_validator("modalities")
    @classmethod
    def _names(cls, modalities: dict[str, ModalitySettings]) -> dict[str, ModalitySettings]:
        for name in modalities:
            if not re.fullmatch(r"[a-z][a-z0-9]{0,31}", name) or name in NO_MODALITIES:
                raise ValueError(
                    f"{name!r} cannot name a modality: use lower-case letters and digits, "
                    f"and none of {', '.join(sorted(NO_MODALITIES))}"
                )
        return modalities

    def fields_of(self, modality: str) -> tuple[str, ...]:
        """The fields of a record that decide the vectors of a modality, also of one that is made of others."""
        one = self.modalities[modality]
        return one.fields or tuple(dict.fromkeys(field for name in one.of for field in self.fields_of(name)))

    @model_validator(mode="after")
    def _log_of_its_own(self) -> Self:
        if self.log.index == self.engine.index:
            raise ValueError("log.index: the items are in this index, the log needs one of its own")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(path: Path | None) -> Settings:
    """Read the settings file and the environment; relative paths in it start from the file's folder.

    Raises SettingsError for a missing file, broken TOML, and every unknown or impossible value, by its name.
    """
    if path is not None and not path.is_file():
        raise SettingsError(f"{path}: no such settings file")
    _refuse_unknown_variables()

    _refuse_secrets(path)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        read = FromFile()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"{path or 'environment'}: {problems}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error
    return _absolute(read, path.parent if path else Path())


def _cloud_url(cloud_id: str) -> str:
    """What a Cloud ID stands for, as Elasticsearch's client reads it. Raises ValueError."""
    from elastic_transport.client_utils import parse_cloud_id

    address = parse_cloud_id(cloud_id).es_address
    if address is None:
        raise ValueError("the cloud_id names no Elasticsearch")
    return "elasticsearch+https://{}:{}".format(*address)


def _refuse_unknown_variables() -> None:
    """pydantic-settings ignores misspelt variables in silence; a wrong name must not become a default."""
    sections = {name.upper() for name in Settings.model_fields}
    for variable in os.environ:
        ours = variable.startswith(PREFIX) and variable not in OTHER_VARIABLES
        if ours and variable.removeprefix(PREFIX).split("__")[0] not in sections:
            raise SettingsError(f"environment variable {variable}: no such setting")


def _refuse_secrets(path: Path | None) -> None:
    if path is None:
        return
    try:
        written = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    for section, name in SECRETS:
        if name in written.get(section, {}):
            raise SettingsError(
                f"{path}: {section}.{name} comes only from the environment ({PREFIX}{section.upper()}__{name.upper()})"
            )


def _absolute(settings: Settings, folder: Path) -> Settings:
    """Let paths start at the settings file: the embedded store's, certificates', models', media's and keys'."""
    engine = settings.engine
    if engine.url.startswith("embedded:"):
        place = (folder / engine.url.removeprefix("embedded:")).resolve()
        engine = engine.model_copy(update={"url": f"embedded:{place}"})
    if engine.ca_certs is not None:
        engine = engine.model_copy(update={"ca_certs": (folder / engine.ca_certs.expanduser()).resolve()})
    modalities = {name: _anchored_models(modality, folder) for name, modality in settings.modalities.items()}
    page = settings.page.model_copy(update={"media": (folder / settings.page.media).resolve()})
    service = settings.service.model_copy(update={"keys": (folder / settings.service.keys).resolve()})
    return settings.model_copy(update={"engine": engine, "modalities": modalities, "page": page, "service": service})


def _anchored_models(modality: ModalitySettings, folder: Path) -> ModalitySettings:
    members = tuple(m.model_copy(update={"model": _anchored(m.model, folder)}) for m in modality.members)
    heads = (modality.model_extra or {}).get("align")
    files = {"align": _anchored(heads, folder)} if isinstance(heads, str) else {}
    return modality.model_copy(update={"model": _anchored(modality.model, folder), "members": members, **files})


def _anchored(model: str | None, folder: Path) -> str | None:
    """A path that exists, or is plainly one, becomes absolute; a hub id such as `org/name` stays as it is."""
    if model is None:
        return None
    path = (folder / Path(model).expanduser()).resolve()
    return str(path) if path.exists() or path.suffix in {".onnx", ".npz", ".pth"} else model
