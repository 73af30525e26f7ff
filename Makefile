# The commands of this repository. The first call installs what its command needs; later calls reuse it.
# A link whose target is gone, after an upgrade of Python, does not count.
PYTHON ?= $(shell test -x .venv/bin/python && echo .venv/bin/python || echo python3)
STAGE ?=
ENGINE ?=
BASE ?=
VENV_PYTHON := .venv/bin/python
# The set-up's pinned Node comes before any other on the machine.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true
# Three processes, since many tests wait, in the order of tests/conftest.py. With ARGS, pytest's defaults apply.
ALL_TESTS := -n 3 --no-loadscope-reorder
# JupyterLab listens on loopback, and asks no other server for news, updates and extensions.
LAB_STAYS_HERE := --ServerApp.ip=127.0.0.1 --LabApp.news_url=None --LabApp.extension_manager=readonly \
	--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
.DEFAULT_GOAL := help
.PHONY: help setup demo tour up down invoke playground load-test status logs test test-images test-long test-tour test-playground check lock synth diff plan simulate review bootstrap roles doctor deploy verify repair promote rollback destroy release pin-images images images-scan bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what synth, diff, deploy and the adapters commands need (once)
	@$(PYTHON) -m loraserve.setup deploy

demo: setup-laptop ## deploy one endpoint with 50 adapters on this laptop, invoke, benchmark, tear down
	@$(VENV_PYTHON) -m loraserve demo $(if $(PORT),--port $(PORT))

tour: setup-tour ## [ARGS=--no-browser]: the article's way as a notebook, docs/tour.ipynb, in JupyterLab
	@$(VENV_PYTHON) -m jupyterlab $(LAB_STAYS_HERE) docs/tour.ipynb $(ARGS)

up: $(if $(filter real,$(IMAGES)),need-image-tools) setup-laptop ## [IMAGES=real]: the same deployment, kept running; prints the environment variables
	@$(VENV_PYTHON) -m loraserve up $(if $(PORT),--port $(PORT)) $(if $(IMAGES),--images $(IMAGES))

down: setup-laptop ## stop what `make up` started
	@$(VENV_PYTHON) -m loraserve down

invoke: need-prompt $(if $(STAGE),setup,setup-laptop) ## PROMPT='…' [ADAPTER=otter] [STAGE=dev]: ask the endpoint of a stage, or of `make up`
	@$(VENV_PYTHON) -m loraserve invoke $(if $(STAGE),--stage $(STAGE)) $${ADAPTER:+--adapter "$$ADAPTER"} -- "$$PROMPT"

playground: $(if $(ENDPOINT),setup,setup-laptop) ## [ENDPOINT=dev]: a page to compare adapters of `make up`, or of an endpoint, side by side
	@$(VENV_PYTHON) -m loraserve playground $(if $(ENDPOINT),--endpoint $(ENDPOINT)) $(ARGS)

load-test: $(if $(STAGE),setup,setup-laptop) ## [STAGE=dev] [ARGS='--rate 4 --adapters @dev']: measure a stage, or `make up`, under load; checks each answer
	@$(VENV_PYTHON) -m loraserve load-test $(or $(STAGE),local) $(or $(ARGS),--rate 2 --adapters @$(or $(STAGE),local --prompts @samples))

status: $(if $(STAGE),setup,setup-laptop) ## [STAGE=dev] [ARGS=--watch]: stacks, endpoint, adapters, alarms, release and cost on one screen
	@$(VENV_PYTHON) -m loraserve status $(if $(STAGE),--stage $(STAGE)) $(ARGS)

logs: $(if $(STAGE),setup,setup-laptop) ## [STAGE=dev] [ADAPTER=otter] [ARGS='--since 1h --follow']: failed and slow requests
	@$(VENV_PYTHON) -m loraserve logs $(if $(STAGE),--stage $(STAGE)) $${ADAPTER:+--adapter "$$ADAPTER"} $(ARGS)

test: setup-tests ## [ARGS=tests/unit]: the tests, including a deployment to the laptop cloud; `make test-long` has what takes minutes
	@$(VENV_PYTHON) -m pytest $(or $(ARGS),$(ALL_TESTS))

test-images: need-image-tools setup-tests ## [ARGS=…]: the images, built and run as SageMaker runs them; needs Linux, root and three tools
	@$(VENV_PYTHON) -m pytest $(or $(ARGS),tests/images $(ALL_TESTS))

test-long: setup-tests ## [ARGS=…]: what takes minutes: releases through three accounts, updates under load, killed seedings
	@$(VENV_PYTHON) -m pytest $(or $(ARGS),tests/local/long $(ALL_TESTS))

test-tour: setup-tour setup-tests ## [ARGS=…]: the notebook run from its first cell to its last, and with a cell that fails
	@$(VENV_PYTHON) -m pytest $(or $(ARGS),tests/tour)

test-playground: setup-tests ## [ARGS=…]: the playground's page in headless Chromium, with 500 adapters; needs chromium and chromedriver
	@$(VENV_PYTHON) -m pytest $(or $(ARGS),tests/playground)

check: setup-check ## style, types, import contracts, requirements, Dockerfiles and workflows
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy
	@.venv/bin/lint-imports
	@$(VENV_PYTHON) -m loraserve.requirements
	@.venv/bin/hadolint container/*/Dockerfile loraserve/images/stand_in/*/Dockerfile
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/actionlint -shellcheck= -pyflakes=
	@.venv/bin/zizmor --offline --no-progress --quiet .github/workflows

lock: setup-check ## [ARGS=--upgrade]: resolve the requirements*.in files into the pinned requirements*.txt files
	@$(VENV_PYTHON) -m loraserve.requirements lock $(ARGS)

synth: setup ## [STAGE=dev]: templates into cdk.out; no credentials, Docker or network
	@$(VENV_PYTHON) -m loraserve synth $(STAGE)

diff: setup ## [STAGE=dev] [BASE=origin/main]: what the working tree changes in each stack since the merge base
	@$(VENV_PYTHON) -m loraserve diff $(if $(BASE),--base $(BASE)) $(if $(STAGE),--stage $(STAGE))

plan: setup ## [STAGE=dev] [ARGS='--input 2000 --instances all']: memory, batch, throughput and cost of many adapters
	@$(VENV_PYTHON) -m loraserve plan $(if $(STAGE),--stage $(STAGE)) $(ARGS)

simulate: setup ## [STAGE=prod] [ARGS='--trace FILE']: simulate autoscaling policies; misses against cost
	@$(VENV_PYTHON) -m loraserve simulate-autoscaling $(if $(STAGE),--stage $(STAGE)) $(ARGS)

review: setup ## [STAGE=dev] [BASE=v1.4] [ARGS='--accept cost']: what a change does to endpoints, data and the bill
	@$(VENV_PYTHON) -m loraserve review $(if $(BASE),--base $(BASE)) $(if $(STAGE),--stage $(STAGE)) $(ARGS)

bootstrap: need-stage setup ## STAGE=dev [ARGS='--profile …']: cdk bootstrap in the stage's account and region (once)
	@$(VENV_PYTHON) -m loraserve bootstrap $(STAGE) $(ARGS)

roles: need-stage setup ## STAGE=prod [ARGS='--profile admin']: the pipeline's roles in the stage's account (once)
	@$(VENV_PYTHON) -m loraserve roles $(STAGE) $(ARGS)

doctor: need-stage setup ## STAGE=dev [ARGS=--json]: check everything that can stop a deploy; read only
	@$(VENV_PYTHON) -m loraserve doctor $(STAGE) $(ARGS)

deploy: need-stage setup ## STAGE=dev [ARGS=…]: deploy to AWS with your credentials
	@$(VENV_PYTHON) -m loraserve deploy $(STAGE) $(ARGS)

verify: need-stage setup ## STAGE=dev [ARGS='--bake 600']: check that a stage serves what was deployed; read only
	@$(VENV_PYTHON) -m loraserve verify $(STAGE) $(ARGS)

repair: need-stage setup ## STAGE=dev: update the endpoint to its stack's config after a silent rollback
	@$(VENV_PYTHON) -m loraserve repair $(STAGE) $(ARGS)

promote: need-stage setup ## STAGE=prod [RELEASE=out/release] [ARGS=--check]: check, deploy and verify a release
	@$(VENV_PYTHON) -m loraserve promote $(STAGE) --release $(or $(RELEASE),out/release) $(ARGS)

rollback: need-stage need-reason setup ## STAGE=prod REASON='…' [ARGS='--to RELEASE']: deploy an earlier release and hold the stage
	@$(VENV_PYTHON) -m loraserve rollback $(STAGE) --reason "$$REASON" $(ARGS)

destroy: need-stage setup ## STAGE=dev: delete the stage's stacks in AWS; lists what is kept
	@$(VENV_PYTHON) -m loraserve destroy $(STAGE) $(ARGS)

release: setup ## [ARGS='--previous FOLDER']: the last commit's stages as an archive that goes from stage to stage
	@$(VENV_PYTHON) -m loraserve release build $(ARGS)

pin-images: setup ## [ARGS=--check]: lock the base images' digests in container/images.lock
	@$(VENV_PYTHON) -m loraserve pin-images $(ARGS)

images: setup ## [ENGINE=vllm] [BASE=stand-in]: build the images with docker, podman or buildah
	@$(VENV_PYTHON) -m loraserve build-images $(if $(ENGINE),--engine $(ENGINE)) $(if $(BASE),--base $(BASE)) $(ARGS)

images-scan: setup-scan ## [ENGINE=vllm] [BASE=stand-in] [ARGS=--json]: packages and known vulnerabilities of the images
	@$(VENV_PYTHON) -m loraserve scan-images $(if $(ENGINE),--engine $(ENGINE)) $(if $(BASE),--base $(BASE)) $(ARGS)

bench: setup-laptop ## measure set-up, seeding, the gateway and what each of its parts saves, against baselines
	@$(VENV_PYTHON) -m benchmarks.setup_time
	@$(VENV_PYTHON) -m benchmarks.synth_time
	@$(VENV_PYTHON) -m benchmarks.seeding
	@$(VENV_PYTHON) -m benchmarks.conversion
	@$(VENV_PYTHON) -m benchmarks.gateway
	@$(VENV_PYTHON) -m benchmarks.stream_events
	@$(VENV_PYTHON) -m benchmarks.fairness
	@$(VENV_PYTHON) -m benchmarks.residency
	@$(VENV_PYTHON) -m benchmarks.load_test
	@$(VENV_PYTHON) -m benchmarks.warm_up
	@$(VENV_PYTHON) -m benchmarks.adapter_affinity

clean: ## remove generated files (not the virtual environment)
	rm -rf cdk.out out .laptop build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The levels of the set-up, each on top of the one before (loraserve/setup/steps.py).
.PHONY: setup-scan setup-laptop setup-tour setup-check setup-tests
setup-scan setup-laptop setup-tour setup-check setup-tests:
	@$(PYTHON) -m loraserve.setup $(@:setup-%=%)

# Checked before the set-up, so that a missing variable or tool is reported at once.
.PHONY: need-image-tools need-prompt need-reason need-stage
need-image-tools:
	@$(PYTHON) -m loraserve.images.tools

need-prompt:
	@test -n "$$PROMPT" || { echo "make invoke needs PROMPT='…' (and ADAPTER=name for an adapter)" >&2; exit 2; }

need-reason:
	@test -n "$$REASON" || { echo "make rollback needs REASON='…', for the record and the hold" >&2; exit 2; }

need-stage:
	@test -n "$(STAGE)" || { echo "make $(firstword $(MAKECMDGOALS)) needs STAGE=dev, staging or prod" >&2; exit 2; }
	@test "$(STAGE)" != local || { echo "the local stage is deployed by 'make up'" >&2; exit 2; }
