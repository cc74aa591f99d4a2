# syntax=docker/dockerfile:1
# coxswaind and coxctl: built on Debian, run with their libraries alone (no shell, no package manager), as user 1337.
# docker buildx build -f images/coxswaind.Dockerfile --platform linux/amd64,linux/arm64 -t coxswain.io/coxswaind:latest .
FROM debian:12-slim AS build
ARG TARGETARCH
ARG VERSION=unknown
RUN apt-get update && apt-get install -y --no-install-recommends gcc make pkg-config gawk git ca-certificates python3 \
    libuv1-dev libnghttp2-dev libssl-dev libcurl4-openssl-dev libyaml-dev libmicrohttpd-dev libgnutls28-dev libxxhash-dev libcjose-dev \
    libseccomp-dev libc-ares-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make -j"$(nproc)" VERSION="$VERSION" build/coxswaind build/coxctl && images/assemble coxswaind /rootfs

FROM scratch
COPY --from=build /rootfs /
LABEL org.opencontainers.image.title="coxswaind" org.opencontainers.image.licenses="Apache-2.0"
USER 1337:1337
WORKDIR /
EXPOSE 8080 15010 15012 15014 15017
ENTRYPOINT ["/usr/local/bin/coxswaind"]
CMD ["discovery"]
