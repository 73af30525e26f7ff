# The commands of this repository. The first call sets everything up; later calls reuse it.
PYTHON ?= python3
STAGE ?=
BASE ?= HEAD
VENV_PYTHON := .venv/bin/python
CDK := node_modules/.bin/cdk
# The set-up's pinned Node comes before any other on the machine.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true
# Two processes, in the order of tests/conftest.py. With ARGS, pytest's defaults apply.
ALL_TESTS := -n 2 --no-loadscope-reorder
CONTEXT := $(if $(STAGE),-c stage=$(STAGE))
.DEFAULT_GOAL := help
.PHONY: help setup demo up down invoke test check lock synth diff deploy pin-images bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: ## install virtual environment, pinned packages, Node and CDK CLI (once)
	@$(PYTHON) loraserve/bootstrap.py

demo: setup ## deploy one endpoint with 50 adapters on this laptop, invoke, benchmark, tear down
	@$(VENV_PYTHON) -m loraserve demo $(if $(PORT),--port $(PORT))

up: setup ## the same deployment, kept running; prints the environment variables
	@$(VENV_PYTHON) -m loraserve up $(if $(PORT),--port $(PORT))

down: setup ## stop what `make up` started
	@$(VENV_PYTHON) -m loraserve down

invoke: need-prompt setup ## PROMPT='…' [ADAPTER=otter]: ask the endpoint of `make up`
	@$(VENV_PYTHON) -m loraserve invoke $${ADAPTER:+--adapter "$$ADAPTER"} -- "$$PROMPT"

test: setup-for-tests ## [ARGS=tests/unit]: all tests, including a deployment to the laptop cloud
	@$(VENV_PYTHON) -m pytest $(or $(ARGS),$(ALL_TESTS))

check: setup ## style, types, import contracts, requirements and Dockerfiles
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy
	@.venv/bin/lint-imports
	@$(VENV_PYTHON) -m loraserve.requirements
	@.venv/bin/hadolint container/*/Dockerfile

lock: setup ## [ARGS=--upgrade]: resolve the requirements*.in files into the pinned requirements*.txt files
	@$(VENV_PYTHON) -m loraserve.requirements lock $(ARGS)

synth: setup ## [STAGE=dev]: templates into cdk.out; no credentials, Docker or network
	@$(CDK) synth '**' --quiet --no-notices $(CONTEXT)

diff: setup ## [STAGE=dev] [BASE=main]: changes of the working tree in each stack
	@$(VENV_PYTHON) -m loraserve diff --base $(BASE) $(if $(STAGE),--stage $(STAGE))

deploy: need-stage setup ## STAGE=dev [ARGS=…]: deploy to AWS with your credentials
	@$(VENV_PYTHON) -m loraserve deploy $(STAGE) $(ARGS)

pin-images: setup ## [ARGS=--check]: lock the base images' digests in container/images.lock
	@$(VENV_PYTHON) -m loraserve pin-images $(ARGS)

bench: setup ## measure synth, seeding and the gateway, each against its baseline
	@$(VENV_PYTHON) -m benchmarks.synth_time
	@$(VENV_PYTHON) -m benchmarks.seeding
	@$(VENV_PYTHON) -m benchmarks.gateway

clean: ## remove generated files (not the virtual environment)
	rm -rf cdk.out out .laptop build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# Includes the environments that only tests need: two minutes and 600 MB more.
.PHONY: setup-for-tests
setup-for-tests:
	@$(PYTHON) loraserve/bootstrap.py --for-tests

# Checked before the set-up, so that a missing variable is reported at once.
.PHONY: need-prompt need-stage
need-prompt:
	@test -n "$$PROMPT" || { echo "make invoke needs PROMPT='…' (and ADAPTER=name for an adapter)" >&2; exit 2; }

need-stage:
	@test -n "$(STAGE)" || { echo "make deploy needs STAGE=dev, staging or prod" >&2; exit 2; }
	@test "$(STAGE)" != local || { echo "the local stage is deployed by 'make up'" >&2; exit 2; }
