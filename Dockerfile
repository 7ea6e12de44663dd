# syntax=docker/dockerfile:1
# The daemon, alone: one binary, the libraries it is linked with, root certificates and time zones. No shell.
#
#   docker build -t eventchain-operator .
#   docker run --rm -e DATABASE_URL=postgres://… eventchain-operator serve
#
# docs/configuration.md lists every key. The schema is not changed by `serve`: run `migrate` first, as a task of its own.

ARG RUST_VERSION=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST_VERSION}-slim-${DEBIAN} AS build
# A C compiler and make build aws-lc; the last two are data that the image needs.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc g++ make cmake ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches stay on the builder; only the binary leaves them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package operator \
 && install -D -m 0755 target/release/operator /image/usr/local/bin/operator \
 && strip --strip-debug /image/usr/local/bin/operator

# What the binary needs at run time, found rather than listed: `ldd` names the C library and its loader.
RUN set -eu; \
    ldd /image/usr/local/bin/operator | grep -o '/[^ ]*' | sort -u | while read -r library; do \
      install -D "$(readlink -f "$library")" "/image$library"; \
    done; \
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt; \
    mkdir -p /image/usr/share /image/etc /image/tmp; \
    cp -R /usr/share/zoneinfo /image/usr/share/zoneinfo; \
    echo 'operator:x:65532:65532:eventchain-operator:/:/nonexistent' > /image/etc/passwd; \
    echo 'operator:x:65532:' > /image/etc/group; \
    chmod 1777 /image/tmp

FROM scratch
COPY --from=build /image/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
# The API and the metrics. It listens on loopback unless configured otherwise (docs/configuration.md).
EXPOSE 8080
# The daemon stops gracefully on it within 25 s; give it 30.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/local/bin/operator", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/operator"]
CMD ["serve"]
