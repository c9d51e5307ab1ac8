# The project's commands; `make` lists them. Needs Python 3.11 or newer, and nothing else for `make run`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := .venv/bin
ASSETS := gateway/graphql/assets
GRAPHIQL := gateway/graphql/static/graphiql.js
COMPOSE := docker compose --file deploy/compose.yaml
INSTALLED := .venv/.installed

.PHONY: help setup run test services services-stop bench soak lint format lock clean

help: ## List these commands.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(INSTALLED) $(if $(shell command -v npm),graphiql-built) ## Make .venv with the locked dependencies; build GraphiQL where npm is there.

run: setup ## Start the gateway with its embedded PostgreSQL on 127.0.0.1:8000, in development mode.
	@exec $(BIN)/esb serve --dev

test: setup ## Run every test on the embedded PostgreSQL, and again on real PostgreSQL, Kafka and Redis.
	@$(BIN)/python -m tests.run

services: setup ## Start PostgreSQL, Kafka and Redis for work by hand; print the ESB_* settings.
	@if docker info >/dev/null 2>&1; then $(COMPOSE) up --detach --wait postgres kafka redis >&2; \
	  echo "export ESB_POSTGRES_URL=postgresql://esb@127.0.0.1:5432/esb"; \
	  echo "export ESB_KAFKA_SERVERS=127.0.0.1:9092"; \
	  echo "export ESB_REDIS_URL=redis://127.0.0.1:6379/0"; \
	else $(BIN)/python -m deploy.local start; fi

services-stop: setup ## Stop what `make services` started; the data stays.
	@if docker info >/dev/null 2>&1; then $(COMPOSE) stop; else $(BIN)/python -m deploy.local stop; fi

bench: setup ## Run benchmarks: all of them, or NAME=ledger-append.
	@$(BIN)/python -m tests.benchmarks $(NAME)

soak: setup ## Kill and freeze services under load, cut subscribers, again and again, for MINUTES=30.
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),30)

lint: setup ## Check style, types, layers, the exported schema, and what must not stand in any file.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases -p deploy.local -p tests.services
	$(BIN)/mypy clients/python/src
	$(BIN)/lint-imports
	$(BIN)/python -m gateway.graphql.export --check
	.ci/forbidden-text

format: setup ## Format the code and mend what can be mended.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup ## Resolve the dependencies of pyproject.toml anew into requirements.lock.
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --python-version 3.11 --group dev \
	  pyproject.toml --output-file requirements.lock

clean: ## Remove .venv and everything built.
	rm -rf .venv build dist $(ASSETS)/node_modules $(dir $(GRAPHIQL))

$(INSTALLED): requirements.lock pyproject.toml
	@deploy/venv.sh .venv
	@touch $@

# A browser page is no reason for the gateway not to start: without the bundle the page loads GraphiQL from its CDN.
.PHONY: graphiql-built
graphiql-built:
	@$(MAKE) --no-print-directory --silent $(GRAPHIQL) || echo "GraphiQL could not be built; its page will load it from the network." >&2

$(GRAPHIQL): $(ASSETS)/package-lock.json $(ASSETS)/build.mjs $(wildcard $(ASSETS)/src/*)
	echo "Building GraphiQL …" >&2
	cd $(ASSETS) && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null && node build.mjs
