# All of Souk's programs, one image each:
#
#   docker build --build-arg PROGRAM=gateway --tag souk/gateway:dev .
#
# The first stage compiles every program once, so that the other images are made
# in seconds. `go run ./tools/souk images` makes the same images, compiled on the
# host, without Docker. Nothing here needs BuildKit.
ARG GO_IMAGE=golang:1.26-bookworm

FROM ${GO_IMAGE} AS build
WORKDIR /src
ENV GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0
# The dependencies, for as long as they stay the same.
COPY proto/go.mod proto/go.sum proto/
COPY services/chassis/go.mod services/chassis/go.sum services/chassis/
COPY services/go.mod services/go.sum services/
COPY gateway/go.mod gateway/go.sum gateway/
COPY tools/go.mod tools/go.sum tools/
RUN for module in services gateway tools; do (cd $module && go mod download) || exit 1; done
COPY proto proto
COPY services services
COPY gateway gateway
COPY tools tools
# Static, stripped and the same bytes for the same sources. All zones and
# certificates of an image are the Go image's.
RUN mkdir -p /out \
 && build() { (cd "$1" && shift && go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o /out/ "$@"); } \
 && build services $(cd services && ls -d ./*/cmd/*) \
 && build gateway ./cmd/gateway ./cmd/renderer \
 && build tools ./stripesim/cmd/stripesim ./smoke/cmd/smoke \
 && (cd tools && go run ./internal/sbom/generate /out/*) \
 && cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /out/zoneinfo.zip

FROM scratch
ARG PROGRAM=gateway
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="souk-${PROGRAM}" \
      org.opencontainers.image.source="https://github.com/souk-shop/souk" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/zoneinfo.zip /usr/share/zoneinfo.zip
COPY --from=build /out/${PROGRAM} /souk
COPY --from=build /out/${PROGRAM}.cdx.json /usr/share/souk/sbom.cdx.json
COPY --from=build /out/${PROGRAM}.licenses.txt /usr/share/souk/licenses.txt
ENV PATH=/ SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt ZONEINFO=/usr/share/zoneinfo.zip
USER 65532:65532
ENTRYPOINT ["/souk"]
