# Every target is a command that a person could type; `make` alone lists them.

PRODUCER_PORT ?= 5000
CONSUMER_PORT ?= 5001
LOCALSTACK_PORT ?= 4566
export PRODUCER_PORT CONSUMER_PORT LOCALSTACK_PORT

PORTS = PRODUCER_PORT=$(PRODUCER_PORT) CONSUMER_PORT=$(CONSUMER_PORT) LOCALSTACK_PORT=$(LOCALSTACK_PORT)

.NOTPARALLEL:
.PHONY: help run test lint audit fmt bench doc clean localstack localstack-docker free-ports rust localstack-setup

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: free-ports rust ## Build and run the pair beside LocalStack; Ctrl-C drains it (PRODUCER_PORT, CONSUMER_PORT, LOCALSTACK_PORT)
	cargo build --release --bins --package upbeat-producer --package upbeat-consumer
	@python=$$(localstack/start --setup-only) && exec localstack/start -- "$$python" scripts/run_services.py

test: rust localstack-setup ## Run all tests, on a LocalStack of their own where they need one
	cargo test --workspace

lint: rust ## Check format, code, docs, dependencies' licences, scripts and workflows
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps
	scripts/cargo-deny check --hide-inclusion-graph bans licenses sources
	scripts/lint-files

audit: rust ## Look for known faults in the dependencies (needs the network)
	scripts/cargo-deny check advisories

fmt: rust ## Format the code
	cargo fmt --all

bench: rust ## Run the benchmarks, a few minutes on an idle machine (UPBEAT_BENCH_MESSAGES)
	cargo bench --package upbeat-consumer --package upbeat-producer --bench consume --bench publish

doc: rust ## Build the API docs, target/doc
	cargo doc --workspace --no-deps

clean: ## Remove what was built (the tools in the user's cache folder stay)
	cargo clean

localstack: ## Run LocalStack alone, until Ctrl-C (LOCALSTACK_PORT)
	@localstack/start

localstack-docker: ## The same from its public image, by Docker
	@command -v docker >/dev/null || { echo "docker is missing; make localstack does without it" >&2; exit 1; }
	docker run --rm --publish 127.0.0.1:$(LOCALSTACK_PORT):4566 \
		--env SERVICES=sns,sqs --env EAGER_SERVICE_LOADING=1 --env SQS_ENDPOINT_STRATEGY=dynamic \
		--volume "$(CURDIR)/localstack/ready.d:/etc/localstack/init/ready.d:ro" localstack/localstack:4.14.0

free-ports:
	@scripts/check-ports $(PORTS)

rust:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust by rustup, https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing; on Debian and Ubuntu: apt-get install build-essential" >&2; exit 1; }

localstack-setup:
	@localstack/start --setup-only >/dev/null
