"""Settings: what is wrong is named, nothing is guessed."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from es_mappings.errors import SettingsError
from es_mappings.schema import build_schema
from es_mappings.settings import LexicalSettings, load_settings

GOOD = """
[engine]
url = "embedded:./store"
index = "products"
[lexical]
fields = ["title^2", "description"]
filters = ["category", "price:number"]
facets = ["category"]
[modalities.text]
encoder = "onnx"
model = "model.onnx"
source = ["title", "description"]
[modalities.graph]
encoder = "graph"
model = "graph.npz"
source = "id"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "maxcos.toml"
    file.write_text(text, "utf-8")
    return file


def test_paths_start_at_the_settings_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, GOOD))
    assert settings.engine.url == f"embedded:{tmp_path / 'store'}"
    assert settings.modalities["text"].model == str(tmp_path / "model.onnx")
    assert settings.modalities["graph"].source == ("id",)


def test_relations_are_read_of_a_record_too_and_only_by_encoders_that_know_them(tmp_path: Path) -> None:
    text = f'{GOOD}relations = {{category = "in_category", id = "is"}}\n'
    graph = load_settings(write(tmp_path, text)).modalities["graph"]
    assert graph.fields == ("id", "category")
    assert graph.options("relations") == {"relations": {"category": "in_category", "id": "is"}}
    with pytest.raises(SettingsError, match="no option relations"):
        graph.options()
    assert load_settings(write(tmp_path, GOOD)).modalities["graph"].options() == {}


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXCOS_ENGINE__URL", "http://127.0.0.1:9200")
    monkeypatch.setenv("MAXCOS_ENGINE__API_KEY", "secret")
    settings = load_settings(write(tmp_path, GOOD))
    assert settings.engine.url == "http://127.0.0.1:9200"
    assert settings.engine.index == "products"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('index = "products"', 'indx = "products"'), r"engine\.indx"),
        (('index = "products"', 'index = "Products"'), r"engine\.index"),
        (("[engine]", "[engin]"), "engin"),
        (('"title^2"', '"title^much"'), "title^much".replace("^", r"\^")),
        (('"price:number"', '"price:money"'), "price:money"),
        (('facets = ["category"]', 'facets = ["brand"]'), "brand"),
        (("[modalities.text]", '[modalities."te-xt"]'), "te-xt"),
        (("[modalities.text]", "[modalities.lexical]"), "lexical"),
        (("[modalities.text]", "[modalities.background]"), "background"),
        (('encoder = "onnx"\n', ""), r"modalities\.text\.encoder"),
        (('index = "products"', 'index = "products"\napi_key = "x"'), "MAXCOS_ENGINE__API_KEY"),
        (('index = "products"', 'index = "products"\npassword = "x"'), "MAXCOS_ENGINE__PASSWORD"),
        (("[lexical]", '[log]\nhash_key = "x"\n[lexical]'), "MAXCOS_LOG__HASH_KEY"),
        (("[lexical]", '[log]\nindex = "products"\n[lexical]'), r"log\.index: the items are in this index"),
        (("[lexical]", '[log]\ntexts = "all"\n[lexical]'), r"log\.texts"),
        (("[engine]", "[engine"), "maxcos.toml"),
        (('"embedded:./store"', '"http://a:1"\ncloud_id = "shop:ZXhhbXBsZS5jb20kYWJj"'), "a url or a cloud_id"),
        (('url = "embedded:./store"', 'cloud_id = "shop"'), "Cloud ID is not properly formatted"),
        (('url = "embedded:./store"', 'cloud_id = "shop:ZXhhbXBsZS5jb20="'), "names no Elasticsearch"),
        (("[engine]", '[engine]\nusername = "a:b"'), "no colon"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(SettingsError, match=named):
        load_settings(write(tmp_path, GOOD.replace(*change)))


def test_a_password_comes_from_the_environment_and_its_username_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAXCOS_ENGINE__PASSWORD", "secret")
    settings = load_settings(write(tmp_path, GOOD.replace("[engine]", '[engine]\nusername = "shop"')))
    assert settings.engine.username == "shop"
    assert settings.engine.password is not None
    assert settings.engine.password.get_secret_value() == "secret"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"PASSWORD": "secret"}, "engine: .*password needs a username"),
        ({"PASSWORD": "secret", "USERNAME": "shop", "API_KEY": "secret"}, "engine: .*not both"),
    ],
)
def test_credentials_that_do_not_go_together_are_refused_unseen(
    given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"MAXCOS_ENGINE__{name}", value)
    with pytest.raises(SettingsError, match=named) as refusal:
        load_settings(None)
    assert "secret" not in str(refusal.value)


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXCOS_ENGIN__URL", "http://x")
    with pytest.raises(SettingsError, match="MAXCOS_ENGIN__URL"):
        load_settings(None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml"):
        load_settings(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("fields", "filters", "named"),
    [
        (("title", "title^2"), (), "title"),
        (("maxcos",), (), "reserved"),
        (("id",), (), "reserved"),
        ((), ("maxcos.text",), "reserved"),
        (("price",), ("price:number",), "price"),
    ],
)
def test_a_schema_has_no_field_twice(fields: tuple[str, ...], filters: tuple[str, ...], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        build_schema(LexicalSettings(fields=fields, filters=filters), [])


def test_a_cloud_id_is_the_address_that_it_stands_for(tmp_path: Path) -> None:
    """Name, and in base64: domain (with a port), id of Elasticsearch, id of Kibana, with $ between them."""
    for text, host in (("eu.example$abc$def", "abc.eu.example:443"), ("eu.example:9243$abc$", "abc.eu.example:9243")):
        cloud_id = f"shop:{base64.b64encode(text.encode()).decode()}"
        settings = load_settings(write(tmp_path, GOOD.replace('url = "embedded:./store"', f'cloud_id = "{cloud_id}"')))
        assert settings.engine.url == f"elasticsearch+https://{host}"


def test_the_certificates_start_at_the_settings_file_too(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, GOOD.replace("[engine]", '[engine]\nca_certs = "tls/ca.pem"')))
    assert settings.engine.ca_certs == tmp_path / "tls" / "ca.pem"


@pytest.mark.parametrize("key", ["", "secret\n", "secret\r\nX-Other: 1", "a secret", "sécret", "secret\0"])
def test_a_key_that_no_header_can_hold_is_refused_without_quoting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MAXCOS_ENGINE__API_KEY", key.replace("\0", "\t"))
    with pytest.raises(SettingsError, match="api_key must be") as refused:
        load_settings(write(tmp_path, GOOD))
    assert "secret" not in str(refused.value)
