package cache

import (
	"slices"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := options("rediss+sentinel://shop:p%40ss@a:26379,[::1]:26380/souk?sentinel_user=watch&sentinel_password=dog")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.Addrs, []string{"a:26379", "[::1]:26380"}) || o.MasterName != "souk" || o.Username != "shop" || o.Password != "p@ss" ||
		o.SentinelUsername != "watch" || o.SentinelPassword != "dog" || o.TLSConfig == nil || o.TLSConfig.ServerName != "" || o.IsClusterMode {
		t.Errorf("by Sentinel: %+v", o)
	}
	if o, err = options("redis+cluster://a:1,b:2"); err != nil || !o.IsClusterMode || len(o.Addrs) != 2 || o.TLSConfig != nil || o.MasterName != "" {
		t.Errorf("a cluster: %+v, %v", o, err)
	}
	if o, err = options("redis+cluster://a:1"); err != nil || !o.IsClusterMode {
		t.Errorf("a cluster by one of its servers: %+v, %v", o, err)
	}
	if o, err = options("rediss://shop:word@host:1/2?min_idle_conns=3"); err != nil || o.MinIdleConns != 3 || o.Addrs[0] != "host:1" || o.DB != 2 || o.Password != "word" || o.TLSConfig.ServerName != "host" {
		t.Errorf("a server: %+v, %v", o, err)
	}
	for _, addr := range []string{
		"redis+sentinel://a:1", "redis+sentinel://a:1/", "redis+sentinel://a/souk", "redis+sentinel://a:1,b/souk", "redis+sentinel://a:1/souk?db=1", "redis+sentinel:///souk",
		"redis+cluster://a:1/2", "redis+cluster://", "redis+cluster://a:1?sentinel_user=x", "http+cluster://a:1", "redis+many://a:1", "redis+cluster://shop:secret%zz@a:1",
	} {
		if o, err := options(addr); err == nil {
			t.Errorf("%s is taken for %+v", addr, o)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", addr, err)
		}
	}
}
