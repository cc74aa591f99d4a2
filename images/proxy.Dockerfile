# syntax=docker/dockerfile:1
# The proxy: cox-agent with an upstream Envoy, and what programs the capture (iptables), as user 1337.
# docker buildx build -f images/proxy.Dockerfile --platform linux/amd64,linux/arm64 -t coxswain.io/proxy:latest .
ARG ENVOY_VERSION=v1.40.0
FROM envoyproxy/envoy:distroless-${ENVOY_VERSION} AS envoy
FROM debian:12-slim AS build
ARG TARGETARCH
ARG VERSION=unknown
RUN apt-get update && apt-get install -y --no-install-recommends gcc make pkg-config gawk git ca-certificates python3 iptables nftables \
    libuv1-dev libnghttp2-dev libssl-dev libcurl4-openssl-dev libyaml-dev libmicrohttpd-dev libgnutls28-dev libxxhash-dev libcjose-dev \
    libseccomp-dev libc-ares-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
RUN make -j"$(nproc)" VERSION="$VERSION" build/cox-agent && ENVOY=/usr/local/bin/envoy images/assemble proxy /rootfs

FROM scratch
COPY --from=build /rootfs /
LABEL org.opencontainers.image.title="coxswain-proxy" org.opencontainers.image.licenses="Apache-2.0"
USER 1337:1337
WORKDIR /
ENTRYPOINT ["/usr/local/bin/cox-agent"]
CMD ["proxy", "sidecar"]
