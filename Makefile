# `make` lists what there is. PYTHON= names the interpreter, PORT= the port of `make run`.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
VENV := .venv/bin
LOCAL := $(VENV)/python -m ticketing.local
export PORT ARGS MINUTES SEED EXAMPLES

.DEFAULT_GOAL := help
.PHONY: help run stop reset manage test soak rush faults attack bench check fmt openapi lock venv chromium

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do \
	    printf '  make %-9s %s\n' "$$name" "$$text"; done

run: venv ## serve Holdfast on this machine, with all it needs (PORT=8000)
	@exec $(LOCAL) run

stop: venv ## stop the Holdfast of this checkout
	@exec $(LOCAL) stop

reset: venv ## stop it, and throw away its data, secrets and logins
	@exec $(LOCAL) reset

manage: venv ## run a management command with the database up (ARGS="audit")
	@exec $(LOCAL) manage

# With ARGS, only what they name: make test ARGS="tests/bookings -k race"
test: venv chromium $(if $(ARGS),,check) ## run every check and every test (ARGS="tests/search" runs those tests alone)
	@exec $(LOCAL) test $(VENV)/python -m pytest $(or $(ARGS),-n 2)

soak: venv ## look for orders of events that break a promise (MINUTES=10; SEED=1 repeats one round)
	@exec $(LOCAL) test $(VENV)/python -m pytest -q tests/proof/soak.py

# URL=, EVENT=, SEED=, DURATION=, JSON=, KEYS= and YES= are in docs/rehearsal.md.
rush: venv ## rehearse an on-sale against a running Holdfast, from outside (BUYERS=500)
	@exec $(VENV)/python -m benchmarks.rush

faults: venv ## break real parts in the middle of a sale (ARGS="cache-killed" breaks that alone, ARGS=--list names them)
	@exec $(VENV)/python -W ignore -m tests.faults $(ARGS)

bench: venv ## measure the speed, as shares of what the engines can do (JSON=file, SMALL=1 for a look at it)
	@exec $(LOCAL) test $(VENV)/python -m benchmarks

attack: venv chromium ## attack the site as strangers do, and look our packages up in the advisories (EXAMPLES=25)
	@exec $(LOCAL) test $(VENV)/python -m tests.attacks $(ARGS)

check: venv ## run the checks that need no tests: format, lint, templates, types, imports, migrations
	@$(VENV)/ruff format --check --quiet --output-format concise . || { echo 'make fmt puts the format right.' >&2; exit 1; }
	@$(VENV)/ruff check --quiet --output-format concise .
	@$(VENV)/djlint --quiet --lint templates
	@SECRET_KEY=unused DATABASE_URL=postgresql:/// REDIS_URL=unix:///unused $(VENV)/mypy --no-error-summary
	@report=$$($(VENV)/lint-imports) || { echo "$$report" >&2; exit 1; }
	@$(LOCAL) test $(VENV)/python manage.py makemigrations --check

fmt: venv ## format the code
	@$(VENV)/ruff check --fix-only --quiet .
	@$(VENV)/ruff format --quiet .

openapi: venv ## write docs/openapi.yaml anew from the code
	@$(LOCAL) test $(VENV)/python manage.py spectacular --fail-on-warn --validate --file docs/openapi.yaml

lock: venv ## pin the requirements anew (ARGS=--upgrade for newer ones)
	@for name in requirements requirements-dev; do \
	    $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(ARGS) \
	        --output-file $$name.txt $$name.in || exit 1; done

venv:
	@python=$$(bin/find-python "$(PYTHON)") && exec "$$python" -I ticketing/local/install.py

chromium:
	@bin/chromium
