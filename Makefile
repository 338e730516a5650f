# A fresh Debian 12 with python3, make and pip is enough: everything else goes into .venv and .tox.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.PHONY: help demo test cover soak lint docs bench bench-stages bench-rebalance bench-api clean servers

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/installed ## install into .venv and replay the bundled sample
	@$(BIN)/fms demo

test: $(VENV)/tox servers ## lint, types, import rules and all tests (tox)
	@$(BIN)/tox run

cover: $(VENV)/tox servers ## the tests with coverage
	@$(BIN)/tox run -e cover

soak: $(VENV)/tox servers ## the long fault and load runs
	@$(BIN)/tox run -e soak

lint: $(VENV)/tox ## only lint, types and import rules
	@$(BIN)/tox run -e lint,types,imports

docs: $(VENV)/installed ## write the generated pages of docs/ again
	@$(BIN)/python -m fms_cli.reference

bench: $(VENV)/installed ## a million documents through the embedded form
	@$(BIN)/python benchmarks/embedded.py

bench-stages: $(VENV)/installed servers ## the same through workers on RabbitMQ, Redis and PostgreSQL
	@$(BIN)/python benchmarks/stages.py

bench-rebalance: $(VENV)/installed servers ## a rebalance of a million alerts while people write
	@$(BIN)/python benchmarks/rebalance.py

bench-api: $(VENV)/installed servers ## the API under wrk, on PostgreSQL and Redis of its own
	@command -v wrk >/dev/null || { echo "wrk is needed (Debian's package of that name)" >&2; exit 1; }
	@$(BIN)/python benchmarks/api.py

clean: ## remove all that make and the tools left here
	rm -rf $(VENV) .tox .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	rm -f .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The sources are used in place, so only a change of what is declared needs a new installation.
$(VENV)/installed: $(BIN)/python pyproject.toml
	@echo "installing fms into $(VENV)"
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/tox: $(BIN)/python
	@echo "installing tox into $(VENV)"
	@$(PIP_INSTALL) 'tox>=4.25'
	@touch $@

# Debian keeps ensurepip in python3-venv. Without it: an environment without pip, which the system's pip can fill;
# else, as root, the package.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "fms needs Python 3.11 or newer as $(PYTHON); say which with make PYTHON=..." >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
		|| { $(PYTHON) -m venv --clear --without-pip $(VENV) \
			&& $(PYTHON) -m pip --python $(BIN)/python install -qq pip; } \
		|| { test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y python3-venv \
			&& $(PYTHON) -m venv --clear $(VENV); } \
		|| { rm -rf $(VENV); echo "no virtual environment can be made: install python3-venv" >&2; exit 1; }

# The tests start servers of their own. Root on Debian installs what is missing for that, under a policy that keeps the
# packages from starting theirs; on other machines the tests in question are skipped.
POLICY := /usr/sbin/policy-rc.d
servers:
	@ls /usr/lib/postgresql/*/bin/initdb /usr/lib/rabbitmq /usr/bin/redis-server /usr/sbin/haproxy >/dev/null 2>&1 \
		|| test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null \
		|| { echo "installing PostgreSQL, Redis, RabbitMQ and HAProxy for the tests"; \
			test -e $(POLICY) || { trap 'rm -f $(POLICY)' EXIT; \
				printf '#!/bin/sh\nexit 101\n' >$(POLICY); chmod 755 $(POLICY); }; \
			export DEBIAN_FRONTEND=noninteractive; apt-get -qq update \
			&& apt-get -qq install -y --no-install-recommends \
				postgresql redis-server rabbitmq-server haproxy >/dev/null; }
