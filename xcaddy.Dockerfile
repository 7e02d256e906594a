# Caddy with Rampart, built from this directory the way xcaddy does it anywhere:
#
#	docker build -f xcaddy.Dockerfile -t rampart .
#	docker run --cap-add NET_ADMIN -p 80:80 -p 443:443 -p 443:443/udp \
#		-v ./Caddyfile:/etc/caddy/Caddyfile:ro -v rampart:/var/lib/rampart rampart
#
# The program has the capabilities of its file, so a container that does not get
# NET_ADMIN cannot start it. Where the firewall is not used, build with
# --build-arg CAPABILITIES=cap_net_bind_service=+ep and leave --cap-add out. To drop
# packets for the whole machine and not just for the container, add --network host.
ARG CADDY_VERSION=2.11.9

FROM caddy:${CADDY_VERSION}-builder AS build
ARG CADDY_VERSION
COPY . /src
RUN xcaddy build v${CADDY_VERSION} \
	--with github.com/rampart-edge/rampart=/src

FROM caddy:${CADDY_VERSION}
ARG CAPABILITIES=cap_net_bind_service,cap_net_admin=+ep
COPY --from=build /usr/bin/caddy /usr/bin/caddy
RUN apk add --no-cache libcap \
	&& setcap "${CAPABILITIES}" /usr/bin/caddy \
	&& apk del libcap \
	&& addgroup -S rampart \
	&& adduser -S -D -H -h /var/lib/rampart -G rampart rampart \
	&& mkdir -p /var/lib/rampart /run/rampart \
	&& chown rampart:rampart /var/lib/rampart /run/rampart
# Certificates, decisions and positions; the base image's own places belong to root.
ENV XDG_DATA_HOME=/var/lib/rampart XDG_CONFIG_HOME=/var/lib/rampart/config
USER rampart
EXPOSE 80 443 443/udp
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
