# What a person, a commit hook and CI call. Every target sets up what it needs; set-up that is current takes no time.
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
SETUP := $(PYTHON) tools/environment.py
BIN := .venv/bin
DATA ?= ../shared/data
SAM := PATH="$(CURDIR)/.envs/sam/bin:$$PATH" SAM_CLI_TELEMETRY=0 .envs/sam/bin/sam

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo:  ## train a small model, upload it, watch its verdict come out (two acts)
	@$(SETUP) assay
	@$(BIN)/assay demo

.PHONY: pictures
pictures:  ## make the README's heat maps anew, from the demo's digits
	@$(SETUP) assay
	@results=$$(mktemp -d); trap "rm -r $$results" EXIT; $(BIN)/assay demo --results $$results \
		&& $(BIN)/python tools/readme_pictures.py $$results docs/pictures

.PHONY: test
test: environments  ## run the tests
	$(BIN)/pytest $(ARGS)

.PHONY: check
check: lint types validate test  ## all that must hold before a commit

.PHONY: format
format: dev  ## format the code, mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: lint
lint: dev  ## check format and style
	$(BIN)/ruff format --check
	$(BIN)/ruff check

.PHONY: types
types: dev  ## check types
	$(BIN)/mypy

.PHONY: validate
validate:  ## check template.yaml
	@$(SETUP) sam
	$(SAM) validate --lint

.PHONY: build
build:  ## build functions and layers for `sam deploy`
	@$(SETUP) sam
	$(SAM) build

.PHONY: images
images:  ## build the two jobs' images (needs Docker; for SageMaker: PLATFORM=linux/amd64)
	docker build $(if $(PLATFORM),--platform $(PLATFORM)) --tag assay-evaluator --file containers/evaluator/Dockerfile .
	docker build $(if $(PLATFORM),--platform $(PLATFORM)) --tag assay-explainer --file containers/explainer/Dockerfile .

.PHONY: deploy
deploy: build  ## build, then deploy with guidance (needs AWS credentials)
	$(SAM) deploy --guided

.PHONY: benchmark
benchmark: dev  ## measure the explainer on rows beside its peers, its goals and verdicts last (minutes; DATA=../shared/data)
	@$(SETUP) peers
	@rm -f dist/goals.jsonl && mkdir -p dist
	.envs/peers/bin/python benchmarks/explainer/estimator.py $(if $(wildcard $(DATA)/adult),--adult $(DATA)/adult) --goals dist/goals.jsonl $(ARGS)
	-$(BIN)/python benchmarks/explainer/rows.py --adult $(DATA)/adult --goals dist/goals.jsonl
	-.envs/peers/bin/python benchmarks/explainer/bias_metrics.py --adult $(DATA)/adult --goals dist/goals.jsonl
	@$(BIN)/python benchmarks/explainer/goals.py dist/goals.jsonl

.PHONY: benchmark-rows
benchmark-rows: dev  ## measure whole jobs on rows, partial dependence, the surrogate (minutes; DATA=../shared/data)
	$(BIN)/python benchmarks/explainer/rows.py --adult $(DATA)/adult

.PHONY: benchmark-texts
benchmark-texts: dev  ## measure how fast texts are explained (a minute; DATA=../shared/data)
	$(BIN)/python benchmarks/explainer/texts.py --reviews $(DATA)/reviews

.PHONY: benchmark-pictures
benchmark-pictures: dev  ## measure how fast pictures are explained, beside shap (minutes; DATA=../shared/data)
	@$(SETUP) peers
	$(BIN)/python benchmarks/explainer/images.py --data $(DATA)/clothing

.PHONY: benchmark-evaluator
benchmark-evaluator: dev  ## measure the evaluator: pictures, rows, the bootstrap (minutes; DATA=../shared/data)
	$(BIN)/python benchmarks/evaluator/images.py --data $(DATA)/clothing
	$(BIN)/python benchmarks/evaluator/rows.py --adult $(DATA)/adult
	$(BIN)/python benchmarks/evaluator/bootstrap.py
	$(BIN)/python benchmarks/evaluator/boxes.py

.PHONY: benchmark-drift
benchmark-drift: dev  ## measure explanation drift between eleven models of Adult (minutes; DATA=../shared/data)
	$(BIN)/python benchmarks/summary/drift.py --adult $(DATA)/adult

.PHONY: benchmark-summary
benchmark-summary: dev  ## measure the step publish_summary for a large run (a minute; ARGS="--page summary.html")
	$(BIN)/python benchmarks/summary/step.py $(ARGS)

.PHONY: benchmark-bias
benchmark-bias:  ## hold the bias metrics against smclarify's (seconds; DATA=../shared/data)
	@$(SETUP) peers
	.envs/peers/bin/python benchmarks/explainer/bias_metrics.py --adult $(DATA)/adult

.PHONY: ci-long
ci-long:  ## run what CI runs, the container engine's tests included
	bash .ci/run

.PHONY: lock
lock:  ## pin the dependencies anew; with UPGRADE=1, in their newest versions
	@$(SETUP) uv
	@tools/lock $(if $(UPGRADE),--upgrade)

.PHONY: schema
schema: dev  ## write the JSON Schemas anew, docs/*.schema.json
	$(BIN)/assay schema policy > docs/assay.schema.json
	$(BIN)/assay schema summary > docs/summary.schema.json
	$(BIN)/assay schema outcome > docs/outcome.schema.json

.PHONY: clean
clean:  ## remove what was made here, environments too; results stay
	rm -rf .venv .envs .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

.PHONY: dev environments
dev:
	@$(SETUP) dev
environments:
	@$(SETUP) dev sam sagemaker sagemaker2
	@$(SETUP) browser || echo "tests in a browser without axe-core are skipped"
