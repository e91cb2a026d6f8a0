# The gateway's Service, by its address when the configuration is loaded: it stays the same.
probe catalog {
	.url = "/readyz?service=catalog";
	.interval = 1s;
	.timeout = 1s;
	.window = 3;
	.threshold = 2;
	.initial = 2;
}
backend gateway {
	.host = "souk-gateway";
	.port = "80";
	.first_byte_timeout = 120s;
	.between_bytes_timeout = 120s;
}
backend reads {
	.host = "souk-gateway";
	.port = "80";
	.first_byte_timeout = 30s;
	.probe = catalog;
}
# What ends TLS in front, whose X-Forwarded-Proto and X-Forwarded-For are believed. This is every pod
# of the cluster: edge.yaml's network policy admits all of them to the port of the shop. Name the
# Ingress's own network here, or its pods there.
acl proxies {
	"10.0.0.0"/8;
}
