# The commands of a newcomer: make demo, make test. Each first sees to .venv (scripts/setup, quick when nothing
# changed). make demo ARGS="--stay" hands options on.

.PHONY: help setup demo test check format lock clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

setup: ## make .venv: QuickFIX built once per machine (about 5 minutes), everything else in seconds
	@scripts/setup

demo: setup ## gateway, brokers, clients and Postgres on this machine; a few hundred orders; what happened
	@.venv/bin/oms demo $(ARGS)

test: setup ## format, lint, types, architecture, sizes, links, and every test
	@.venv/bin/python scripts/check --tests $(ARGS)

check: setup ## as make test, without the tests that run the gateway
	@.venv/bin/python scripts/check $(ARGS)

format: setup ## put the code into the project's format and mend what the linter can mend
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .

lock: ## write requirements.lock anew from pyproject.toml (newest versions; needs uv)
	@scripts/lock

clean: ## remove .venv and what tools left; the QuickFIX wheel stays in the user cache
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist oms.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
