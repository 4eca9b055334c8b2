# Sluice as an image: `docker build -t sluice .`, then `docker run -p 8080:8080 -e SLUICE_UPSTREAM=http://app:3000 sluice`.
# Podman and buildah keep HEALTHCHECK only with `--format docker`.
ARG NODE_IMAGE=node:26-bookworm-slim

# Stages of their own, so that neither npm's cache nor a dev dependency reaches an image. The packages of the demo are
# optional dependencies: the proxy's image does without them.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM ${NODE_IMAGE} AS demo-dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && rm -f dist/.tsbuildinfo
COPY package.json LICENSE* /app/
COPY config/container.yaml config/schema.json /app/config/
# The user of the image is not the owner: everything must be readable whatever umask the checkout was made with.
RUN mv dist /app/dist && chmod -R u=rwX,go=rX /app \
    && cp -a /app /proxy && rm -r /proxy/dist/demo /proxy/dist/start.*

# The demo upstream alone: `docker build --target demo -t sluice-demo .`.
FROM ${NODE_IMAGE} AS demo
WORKDIR /app
COPY --from=demo-dependencies /app/node_modules node_modules
COPY --from=build /app ./
ENV NODE_ENV=production \
    DEMO_HOST=0.0.0.0
USER 65532:65532
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "http.get('http://127.0.0.1:3000/healthz', (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/demo/main.js"]
CMD []

FROM ${NODE_IMAGE}
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /proxy ./
ENV NODE_ENV=production \
    SLUICE_CONFIG=/app/config/container.yaml
# By number, for Kubernetes' runAsNonRoot. All files are root's and nothing is ever written: run it with --read-only,
# --cap-drop=ALL and --security-opt=no-new-privileges.
USER 65532:65532
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Liveness, not readiness: what acts on this (Swarm, ECS) replaces the container, and /readyz says 503 to one that drains.
# The admin port listens last, so /livez answers only when the proxied port does. Kubernetes ignores this: probe /livez and
# /readyz over HTTP there. http.get takes a third of the CPU time of fetch. It knows SLUICE_ADMIN, but not a policy's `admin`.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "http.get(`http://127.0.0.1:${(process.env.SLUICE_ADMIN || ':8081').split(':').pop()}/livez`, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# node itself is process 1: it handles the signals and has no children to reap.
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD []

# Last, because they change with each build.
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="A rate-limiting reverse proxy that limits devices, not networks" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
