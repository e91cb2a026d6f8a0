package cache

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The schemes of addresses behind which are several servers; with rediss in front by TLS.
const (
	sentinelScheme = "+sentinel"
	clusterScheme  = "+cluster"
)

// options are those that an address says.
func options(addr string) (*redis.UniversalOptions, error) {
	scheme, rest, isURL := strings.Cut(addr, "://")
	scheme, many := cutSuffixes(scheme, sentinelScheme, clusterScheme)
	switch {
	case !isURL:
		return &redis.UniversalOptions{Addrs: []string{addr}}, nil
	case many == "":
		opts, err := redis.ParseURL(addr)
		if err != nil {
			return nil, err
		}
		return &redis.UniversalOptions{
			Addrs: []string{opts.Addr}, DB: opts.DB, Username: opts.Username, Password: opts.Password, Protocol: opts.Protocol, ClientName: opts.ClientName, TLSConfig: opts.TLSConfig,
			MinIdleConns: opts.MinIdleConns, MaxIdleConns: opts.MaxIdleConns, MaxActiveConns: opts.MaxActiveConns, PoolFIFO: opts.PoolFIFO,
			ConnMaxIdleTime: opts.ConnMaxIdleTime, ConnMaxLifetime: opts.ConnMaxLifetime,
		}, nil
	case scheme != "redis" && scheme != "rediss":
		return nil, fmt.Errorf("scheme %s%s: want redis or rediss, with +sentinel or +cluster", scheme, many)
	}
	// More hosts are behind commas, as in the addresses of brokers; net/url takes one.
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	user, list := "", authority
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, list = authority[:i+1], authority[i+1:]
	}
	hosts := strings.Split(list, ",")
	for _, h := range hosts {
		if name, port, err := net.SplitHostPort(h); err != nil || name == "" || port == "" {
			return nil, fmt.Errorf("%q: want host:port,host:port", list)
		}
	}
	u, err := url.Parse("redis://" + user + hosts[0] + path)
	if err != nil {
		return nil, errors.New("the address is no URL") // the error would show the password
	}
	opts := &redis.UniversalOptions{Addrs: hosts, Username: u.User.Username(), IsClusterMode: many == clusterScheme}
	opts.Password, _ = u.User.Password()
	if scheme == "rediss" {
		// Each connection checks the name of the server that it goes to.
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	query := u.Query()
	if many == sentinelScheme {
		if opts.MasterName = strings.Trim(u.Path, "/"); opts.MasterName == "" {
			return nil, errors.New("the path is the name by which Sentinel knows the servers, as in redis+sentinel://host:26379/souk")
		}
		opts.SentinelUsername, opts.SentinelPassword = query.Get("sentinel_user"), query.Get("sentinel_password")
		query.Del("sentinel_user")
		query.Del("sentinel_password")
	} else if strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("a cluster has one database, and its address no path")
	}
	for name := range query {
		return nil, fmt.Errorf("unknown parameter %q", name)
	}
	return opts, nil
}

// cutSuffixes cuts the first of the suffixes that s has.
func cutSuffixes(s string, suffixes ...string) (before, suffix string) {
	for _, suffix := range suffixes {
		if before, ok := strings.CutSuffix(s, suffix); ok {
			return before, suffix
		}
	}
	return s, ""
}
