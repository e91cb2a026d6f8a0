package localshop

import (
	"context"

	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// WaitReady returns when the shop says that it is ready, or why it did not
// until ctx ended.
func (s *Shop) WaitReady(ctx context.Context) error {
	client := shopclient.New(s.URL)
	defer client.Close()
	return s.waitReady(ctx, client)
}

// RuntimeDSN is the connection string with which a service serves.
func (s *Shop) RuntimeDSN(service string) string {
	return dsnOf(topology.Postgres, service, topology.RuntimeRole(service))(s, s.postgres.addr())
}
