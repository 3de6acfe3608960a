# Every target is a command that a person could type; `make` alone lists them.

PRODUCER_PORT ?= 5000
CONSUMER_PORT ?= 5001
LOCALSTACK_PORT ?= 4566
SHOUT_PORT ?= 5002
export PRODUCER_PORT CONSUMER_PORT LOCALSTACK_PORT

# The images' tag, as in kubernetes/chart/Chart.yaml.
VERSION = 0.1.0

# What make dash looks at.
DASH ?= localhost:$(PRODUCER_PORT) localhost:$(CONSUMER_PORT)

PORTS = PRODUCER_PORT=$(PRODUCER_PORT) CONSUMER_PORT=$(CONSUMER_PORT) LOCALSTACK_PORT=$(LOCALSTACK_PORT)

.NOTPARALLEL:
.PHONY: help doctor run test lint audit fmt bench chaos orchestrate cluster bench-orchestrator measure-orchestrator doc dash screenshots clean localstack localstack-docker free-ports rust
.PHONY: localstack-setup run-shout debug-shout bench-shout
.PHONY: images manifests deploy undeploy logs e2e k8s-lint minikube provision-k8s deploy-shout

help:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

doctor: ## Say what this machine lacks for each target, and what to do about it
	@PRODUCER_PORT=$(PRODUCER_PORT) CONSUMER_PORT=$(CONSUMER_PORT) LOCALSTACK_PORT=$(LOCALSTACK_PORT) scripts/doctor

run: free-ports rust ## Build and run the pair beside LocalStack; Ctrl-C drains it (PRODUCER_PORT, CONSUMER_PORT, LOCALSTACK_PORT)
	cargo build --release --bins --package upbeat-producer --package upbeat-consumer
	@python=$$(localstack/start --setup-only) && exec localstack/start -- "$$python" scripts/run_services.py

run-shout: rust ## Build and run shout on its own (SHOUT_PORT, and its own settings: UPSTREAM, CACHE …)
	@scripts/check-ports SHOUT_PORT=$(SHOUT_PORT)
	cargo build --release --bin shout --package upbeat-shout
	exec target/release/shout --listen 127.0.0.1:$(SHOUT_PORT)

debug-shout: ## Run shout's image with all that it logs, and a shell inside beside it; leaving the shell ends it (SHOUT_PORT)
	scripts/debug-shout $(SHOUT_PORT) shout:$(VERSION)

test: rust localstack-setup ## Run all tests, on a LocalStack of their own where they need one
	cargo test --workspace

lint: rust ## Check format, code, docs, dependencies' licences, scripts, workflows, manifests, alert rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps
	scripts/cargo-deny check --hide-inclusion-graph bans licenses sources
	scripts/lint-files
	scripts/lint-kubernetes
	scripts/lint-monitoring

audit: rust ## Look for known faults in the dependencies (needs the network)
	scripts/cargo-deny check advisories

fmt: rust ## Format the code
	cargo fmt --all

bench: rust ## Run the benchmarks, a few minutes on an idle machine (UPBEAT_BENCH_MESSAGES)
	cargo bench --package upbeat-consumer --package upbeat-producer --bench consume --bench publish

bench-shout: rust ## What shout costs beside a bare handler, and with an upstream of 20 ms (two minutes on an idle machine)
	cargo bench --package upbeat-shout --bench shout

chaos: rust localstack-setup ## Kill, stop, freeze and cut off the pair under load, and count what was lost (SEED, DURATION, RATE, ONLY …)
	cargo build --release --bins --package upbeat-producer --package upbeat-consumer
	cargo build --package upbeat-chaos
	UPBEAT_TEST_BINARIES=target/release target/debug/chaos

orchestrate: rust ## Say what the orchestrator would do to this host's containers, and do nothing (http://localhost:8080/ui)
	cargo build --release --package upbeat-orchestrator
	target/release/orchestrator --state target/orchestrator

cluster: rust ## A server and an agent on this host, to be asked for services (CLUSTER_PORT; CONFIG, a Compose file)
	cargo build --release --package upbeat-orchestrator
	scripts/orchestrate-cluster target/release/orchestrator

bench-orchestrator: rust ## What a thousand nodes with a hundred containers each cost a server (a minute)
	cargo bench --package upbeat-orchestrator --bench scale

measure-orchestrator: rust ## Its goals on real engines, in one run beside Docker's restart=always (root, dockerd; twenty minutes)
	cargo build --release --package upbeat-orchestrator
	UPBEAT_TEST_BINARIES=target/release cargo test --package upbeat-orchestrator --test docker --test cluster --test quorum \
	  measure -- --ignored --nocapture --test-threads 1
	cargo bench --package upbeat-orchestrator --bench scale

doc: rust ## Build the API docs, target/doc
	cargo doc --workspace --no-deps

dash: rust ## Show in the terminal what the services do (DASH, their addresses)
	@cargo run --quiet --release --package upbeat-dash -- $(DASH)

screenshots: rust localstack-setup ## Make the README's pictures anew (five minutes; needs chromium-driver)
	cargo run --package upbeat-dash --example screenshots

clean: ## Remove what was built (the tools in the user's cache folder stay)
	cargo clean

localstack: ## Run LocalStack alone, until Ctrl-C (LOCALSTACK_PORT)
	@localstack/start

localstack-docker: ## The same from its public image, by Docker
	@command -v docker >/dev/null || { echo "docker is missing; make localstack does without it" >&2; exit 1; }
	docker run --rm --publish 127.0.0.1:$(LOCALSTACK_PORT):4566 \
		--env SERVICES=sns,sqs --env EAGER_SERVICE_LOADING=1 --env SQS_ENDPOINT_STRATEGY=dynamic \
		--volume "$(CURDIR)/localstack/ready.d:/etc/localstack/init/ready.d:ro" localstack/localstack:4.14.0

images: ## Build the images of producer, consumer, shout and orchestrator by Docker
	docker build --network host --tag producer:$(VERSION) --target producer .
	docker build --network host --tag consumer:$(VERSION) --target consumer .
	docker build --network host --tag shout:$(VERSION) --target shout .
	docker build --network host --tag orchestrator:$(VERSION) --target orchestrator .

manifests: ## Make the manifests in kubernetes/ from the chart in kubernetes/chart
	scripts/manifests

deploy: ## Run LocalStack and the pair in the cluster and namespace that kubectl points to
	kubectl apply -f kubernetes
	kubectl rollout status --timeout 180s deployment/localstack deployment/producer deployment/consumer

deploy-shout: ## Run shout there too, with Redis, autoscaling and an Ingress: for Traefik where that is, else for any other
	@kubectl get --output name customresourcedefinition middlewares.traefik.io >/dev/null 2>&1 && overlay=shout-traefik || overlay=shout; \
		set -x; kubectl apply -f kubernetes/overlays/$$overlay
	kubectl rollout status --timeout 180s deployment/redis deployment/shout

undeploy: ## Take all that away again
	kubectl delete --ignore-not-found -f kubernetes -f kubernetes/overlays/shout
	@! kubectl get --output name customresourcedefinition middlewares.traefik.io >/dev/null 2>&1 || \
		kubectl delete --ignore-not-found -f kubernetes/overlays/shout-traefik

logs: ## Follow the logs of all three there, until Ctrl-C
	kubectl logs --follow --prefix --tail 20 --max-log-requests 20 -l app.kubernetes.io/part-of=upbeat

e2e: ## Try the manifests on the cluster that kubectl points to, in namespaces of its own (ten minutes)
	kubernetes/e2e/run

minikube: ## The whole way: start minikube, build the images in it, deploy
	scripts/minikube

provision-k8s: ## Install metrics-server and Traefik there, which deploy-shout builds on
	scripts/provision-k8s

k8s-lint: ## Check manifests, chart, Dockerfile and the like
	scripts/lint-kubernetes

free-ports:
	@scripts/check-ports $(PORTS)

rust:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust by rustup, https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing; on Debian and Ubuntu: apt-get install build-essential" >&2; exit 1; }

localstack-setup:
	@localstack/start --setup-only >/dev/null
