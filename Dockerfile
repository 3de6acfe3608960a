# The images of the services:
#
#   docker build -t producer:0.1.0 --target producer .
#   docker build -t consumer:0.1.0 --target consumer .
#   docker build -t shout:0.1.0 --target shout .
#   docker build -t orchestrator:0.1.0 --target orchestrator .
#
# The classic builder and BuildKit take it alike, so nothing in it is BuildKit's alone. What is slow, the dependencies, is
# a layer of its own that only Cargo.toml and Cargo.lock can spoil.

# The crates' manifests, with empty sources: what the dependencies depend on. All crates are here, since cargo wants to
# see each member of the workspace, built or not; so are the targets that a manifest may name.
FROM debian:bookworm-slim AS manifests
WORKDIR /manifests
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path '*/src/lib.rs' ! -path '*/src/main.rs' \
      ! -path '*/benches/*.rs' -delete \
    && find . -name lib.rs -exec truncate --size 0 {} + \
    && find . -name '*.rs' ! -name lib.rs -exec sh -c 'for file; do echo "fn main() { }" >"$file"; done' - {} + \
    && find . -type d -empty -delete

# The version of rust-toolchain.toml, which stays outside: it asks for more components than a build needs.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
ENV CARGO_INCREMENTAL=0
COPY --from=manifests /manifests .
# Our own empty crates are taken out again: cargo goes by the time of a file, and files that were checked out before this
# ran would pass for built.
RUN cargo build --release --locked --bins --package upbeat-producer --package upbeat-consumer --package upbeat-shout \
        --package upbeat-orchestrator \
    && cargo clean --release --workspace
COPY . .
RUN cargo build --release --locked --bins --package upbeat-producer --package upbeat-consumer --package upbeat-shout \
        --package upbeat-orchestrator \
    && target/release/producer --version && target/release/consumer --version && target/release/shout --version \
    && target/release/orchestrator --version

# What runs: curl is for people, as in `kubectl exec deploy/producer -- curl http://0.0.0.0:5000/health`.
FROM debian:bookworm-slim AS runtime
# hadolint ignore=DL3008 # the newest of a stable release is what is wanted: pins would keep its security fixes out
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/apt /var/log/*.log \
    && groupadd --gid 65532 upbeat \
    && useradd --uid 65532 --gid 65532 --no-log-init --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin upbeat
# Debian's certificates without the package, which would bring openssl's programs along.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 5000
LABEL org.opencontainers.image.licenses=Apache-2.0

FROM runtime AS producer
COPY --from=build /build/target/release/producer /usr/local/bin/
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["producer", "healthcheck"]
LABEL org.opencontainers.image.title="Upbeat producer" \
      org.opencontainers.image.description="Publishes messages to an Amazon SNS topic, in batches" \
      org.opencontainers.image.version=0.1.0
ENTRYPOINT ["producer"]

FROM runtime AS consumer
COPY --from=build /build/target/release/consumer /usr/local/bin/
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["consumer", "healthcheck"]
LABEL org.opencontainers.image.title="Upbeat consumer" \
      org.opencontainers.image.description="Handles and deletes the messages of an Amazon SQS queue" \
      org.opencontainers.image.version=0.1.0
ENTRYPOINT ["consumer"]

FROM runtime AS shout
COPY --from=build /build/target/release/shout /usr/local/bin/
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["shout", "healthcheck"]
LABEL org.opencontainers.image.title="Upbeat shout" \
      org.opencontainers.image.description="Reverses and capitalises text over HTTP" \
      org.opencontainers.image.version=0.1.0
ENTRYPOINT ["shout"]

# By its label an orchestrator knows the others, and leaves them alone. The socket is root's on most hosts: whoever runs
# this gives it a user that may use it, as orchestrator/docker-compose.yml does.
FROM runtime AS orchestrator
COPY --from=build /build/target/release/orchestrator /usr/local/bin/
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["orchestrator", "healthcheck"]
EXPOSE 8080
LABEL io.upbeat.orchestrator=0.1.0 \
      org.opencontainers.image.title="Upbeat orchestrator" \
      org.opencontainers.image.description="Keeps the containers of a Docker host as they are wanted" \
      org.opencontainers.image.version=0.1.0
ENTRYPOINT ["orchestrator"]
