vcl 4.1;

# The edge of Souk, for Varnish 7 with the vmod xkey of varnish-modules. What it keeps, for how
# long and by which keys it drops it, the gateway says in its answers: docs/edge.md.
#
# backend.vcl, beside this file, has the backends "gateway" and "reads", which are the same
# gateway: "reads" has a probe that asks whether the catalog answers. It also has the list
# "proxies", whose word on the client's address and protocol is taken.
#
# Varnish listens on two named sockets: shop for clients, purge for gateways. The environment
# variable SOUK_EDGE_SECRET has what the gateways send with a PURGE.

import std;
import xkey;

include "backend.vcl";

sub vcl_recv {
	if (local.socket == "purge") {
		call purge;
	}
	if (req.method == "PURGE") {
		return (synth(405, "Method Not Allowed"));
	}
	if (req.restarts == 0) {
		# What only this file says.
		unset req.http.Souk-Edge-Fetch;
		unset req.http.Souk-Edge-Stale;
		unset req.http.Souk-Edge-How;
		unset req.http.Souk-Edge-Secret;
		if (client.ip !~ proxies) {
			# The gateway believes this proxy, not its clients. Varnish itself has added
			# the client's address to X-Forwarded-For.
			unset req.http.X-Forwarded-Proto;
			unset req.http.Forwarded;
			unset req.http.Request-Id;
		}
	}

	# Only what is the same for everybody may be kept: these reads, asked without a token, by who
	# does not insist on seeing their own write. The answer has to say so, too. Answers of the API
	# vary by Origin where CORS is configured: clients would fill a page's list of variants, through
	# which Varnish looks one by one.
	if ((req.method != "GET" && req.method != "HEAD") || req.http.Authorization || req.http.Souk-Consistency ||
	    req.http.Origin && req.url ~ "^/v1/" ||
	    req.url !~ "^/($|\?)" && req.url !~ "^/(products|categories|pictures|static)([/?]|$)" &&
	    req.url !~ "^/v1/(products|categories)([/?]|$)" &&
	    req.url !~ "^/(favicon\.ico|apple-touch-icon\.png|manifest\.webmanifest|robots\.txt|sitemap[a-z-]*\.xml)($|\?)") {
		set req.http.Souk-Edge-How = "fwd=bypass";
		set req.backend_hint = gateway;
		return (pass);
	}

	# The gateway is not told who asks.
	unset req.http.Cookie;
	# One address for what is one page.
	if (req.url ~ "^/(products/[^/?]*)?\?") {
		set req.url = regsub(req.url, "\?.*$", "");
	} elsif (req.url !~ "^/v1/") {
		set req.url = regsuball(req.url, "([?&])(utm_[a-z]+|gclid|fbclid|msclkid)=[^&]*", "\1");
		set req.url = regsuball(req.url, "&&+", "&");
		set req.url = regsub(req.url, "\?&", "?");
		set req.url = regsub(req.url, "[?&]$", "");
	}
	set req.url = std.querysort(req.url);

	set req.backend_hint = reads;
	if (req.http.Souk-Edge-Fetch && !req.http.Souk-Edge-Stale) {
		set req.grace = 0s;
	} else {
		# What has expired is looked at, too: vcl_hit decides.
		set req.grace = 365d;
	}
	return (hash);
}

# A gateway tells what has changed.
sub purge {
	if (req.method == "GET" && req.url == "/healthz") {
		return (synth(200, "alive"));
	}
	if (req.method != "PURGE") {
		return (synth(405, "Method Not Allowed"));
	}
	# An edge without a secret takes no PURGE.
	if (!req.http.Souk-Edge-Secret || req.http.Souk-Edge-Secret !~ "^.{32}" || req.http.Souk-Edge-Secret != std.getenv("SOUK_EDGE_SECRET")) {
		return (synth(403, "Forbidden"));
	}
	if (!req.http.Surrogate-Key) {
		return (synth(400, "Surrogate-Key is missing"));
	}
	# It expires and stays for when the shop does not answer.
	set req.http.Souk-Edge-Purged = xkey.softpurge(req.http.Surrogate-Key);
	return (synth(200, "Purged"));
}

sub vcl_hash {
	# Answers to browsers that use HTTPS have Strict-Transport-Security.
	if (req.http.X-Forwarded-Proto ~ "(?i)https\s*$") {
		hash_data("https");
	}
	# Varnish adds the address and the host.
}

sub vcl_hit {
	if (obj.ttl > 0s || req.http.Souk-Edge-Stale) {
		set req.http.Souk-Edge-How = "hit";
		return (deliver);
	}
	# It has expired. Where nothing has changed it is shown once more while the next one is
	# fetched; an answer that was purged has lived shorter than it was to.
	if (obj.ttl + std.duration(obj.http.Souk-Edge-Revalidate, 0s) > 0s &&
	    obj.age + obj.ttl + 1ms > std.duration(obj.http.Souk-Edge-Lifetime, 0s)) {
		set req.http.Souk-Edge-How = "hit";
		return (deliver);
	}
	if (!std.healthy(reads)) {
		set req.http.Souk-Edge-Stale = "1";
		set req.http.Souk-Edge-How = "hit";
		return (deliver);
	}
	set req.http.Souk-Edge-Fetch = "1";
	return (restart);
}

sub vcl_miss {
	if (!std.healthy(reads)) {
		if (req.http.Souk-Edge-Fetch && !req.http.Souk-Edge-Stale) {
			set req.http.Souk-Edge-Stale = "1";
			return (restart);
		}
		# The gateway itself says what is wrong, or has it.
		set req.backend_hint = gateway;
	}
	set req.http.Souk-Edge-How = "fwd=miss";
	if (req.http.Souk-Edge-Fetch) {
		set req.http.Souk-Edge-How = "fwd=stale";
	}
	return (fetch);
}

sub vcl_backend_fetch {
	if (bereq.is_bgfetch && !std.healthy(reads)) {
		return (abandon);
	}
	if (bereq.http.Souk-Edge-Fetch) {
		# There is an answer to give instead: who asks does not wait for retries behind.
		set bereq.first_byte_timeout = 3s;
	}
	unset bereq.http.Souk-Edge-How;
	unset bereq.http.Souk-Edge-Stale;
}

sub vcl_backend_response {
	if (bereq.uncacheable) {
		return (deliver);
	}
	if (beresp.status >= 500 || beresp.status == 429) {
		# A 429 is about one client: what others see is not replaced by it.
		if (bereq.is_bgfetch || bereq.http.Souk-Edge-Fetch) {
			return (abandon); # what has expired stays
		}
		set beresp.ttl = 0s;
		set beresp.grace = 0s;
		set beresp.uncacheable = true;
		return (deliver);
	}
	if (beresp.http.Set-Cookie || beresp.http.Souk-Token || beresp.http.Cache-Control !~ "public" ||
	    beresp.http.Cache-Control ~ "no-cache|no-store|private" || beresp.http.Vary ~ "Cookie|\*") {
		set beresp.uncacheable = true;
		set beresp.grace = 0s;
		set beresp.ttl = 0s;
		if (beresp.status == 200 || beresp.status == 404 || beresp.status == 410) {
			set beresp.ttl = 2s; # those who ask meanwhile do not wait for one another
		}
		return (deliver);
	}
	if (beresp.http.Cache-Control ~ "s-maxage=") {
		set beresp.http.Souk-Edge-Lifetime = regsub(beresp.http.Cache-Control, "^.*s-maxage=([0-9]+).*$", "\1s");
		set beresp.ttl = std.duration(beresp.http.Souk-Edge-Lifetime, 0s);
	} else {
		set beresp.http.Souk-Edge-Lifetime = beresp.ttl + "s";
	}
	unset beresp.http.Souk-Edge-Revalidate;
	if (beresp.http.Cache-Control ~ "stale-while-revalidate=") {
		set beresp.http.Souk-Edge-Revalidate = regsub(beresp.http.Cache-Control, "^.*stale-while-revalidate=([0-9]+).*$", "\1s");
	}
	set beresp.grace = 1h;
	if (beresp.http.Cache-Control ~ "stale-if-error=") {
		set beresp.grace = std.duration(regsub(beresp.http.Cache-Control, "^.*stale-if-error=([0-9]+).*$", "\1s"), 1h);
	}
	set beresp.http.xkey = beresp.http.Surrogate-Key;
	unset beresp.http.Surrogate-Key;
	# They are of the request that filled the cache.
	unset beresp.http.Request-Id;
	unset beresp.http.Server-Timing;
	unset beresp.http.RateLimit-Limit;
	unset beresp.http.RateLimit-Remaining;
	unset beresp.http.RateLimit-Reset;
	unset beresp.http.Souk-Consistency;
	return (deliver);
}

sub vcl_backend_error {
	if (bereq.is_bgfetch || bereq.http.Souk-Edge-Fetch) {
		return (abandon);
	}
	call plain_backend_error;
	return (deliver);
}

sub plain_backend_error {
	set beresp.http.Content-Type = "text/plain; charset=utf-8";
	set beresp.http.Cache-Control = "private, no-store";
	set beresp.http.Retry-After = "3";
	set beresp.body = "The shop does not answer just now. Please try again in a moment." + {"
"};
}

sub vcl_deliver {
	unset resp.http.xkey;
	unset resp.http.Surrogate-Key;
	unset resp.http.Souk-Edge-Lifetime;
	unset resp.http.Souk-Edge-Revalidate;
	unset resp.http.X-Varnish;
	unset resp.http.Via;
	if (resp.http.Cache-Control ~ "s-maxage=") {
		# Nobody tells other caches of changes.
		set resp.http.Cache-Control = "public, no-cache";
	}
	# RFC 9211.
	if (req.http.Souk-Edge-How == "hit") {
		set resp.http.Cache-Status = "souk-edge; hit; ttl=" + std.integer(duration = obj.ttl, fallback = 0);
		if (req.http.Souk-Edge-Stale) {
			set resp.http.Cache-Status = resp.http.Cache-Status + "; detail=stale-if-error";
			# The page's script shows it. A browser stores no such answer, nor hears it of
			# what it has: it would keep the mark with the page.
			set resp.http.Server-Timing = "stale";
			set resp.http.Cache-Control = "private, no-store";
			unset req.http.If-None-Match;
			unset req.http.If-Modified-Since;
		}
	} else {
		set resp.http.Cache-Status = "souk-edge; " + req.http.Souk-Edge-How;
	}
	return (deliver);
}

sub vcl_synth {
	if (resp.status == 503 && req.http.Souk-Edge-Fetch && !req.http.Souk-Edge-Stale) {
		set req.http.Souk-Edge-Stale = "1";
		return (restart);
	}
	set resp.http.Content-Type = "text/plain; charset=utf-8";
	set resp.http.Cache-Control = "private, no-store";
	if (resp.status >= 500) {
		set resp.http.Retry-After = "3";
	}
	unset resp.http.X-Varnish;
	set resp.body = resp.reason + {"
"};
	if (req.http.Souk-Edge-Purged) {
		set resp.body = req.http.Souk-Edge-Purged + {"
"};
	}
	return (deliver);
}
