//go:build unix

package pgserver

import (
	"maps"
	"slices"
	"strconv"
)

// laptop are the settings of a server that shares a laptop with the shop:
// little memory, few processes, nothing lost at a crash.
var laptop = map[string]string{
	"listen_addresses":        "127.0.0.1",
	"unix_socket_directories": "",
	"shared_buffers":          "64MB",
	"max_connections":         "120",
	"work_mem":                "8MB",
	"maintenance_work_mem":    "64MB",
	"effective_cache_size":    "1GB",
	"huge_pages":              "off",
	"jit":                     "off", // compiling costs more than our queries
	"random_page_cost":        "1.1", // SSD
	// One query, one core: the shop has many queries, not large ones.
	"max_parallel_workers_per_gather":  "0",
	"max_parallel_maintenance_workers": "0",
	"max_worker_processes":             "4",
	"autovacuum_max_workers":           "2",
	// No standbys, so no log for them.
	"wal_level":          "minimal",
	"max_wal_senders":    "0",
	"wal_buffers":        "4MB",
	"min_wal_size":       "80MB",
	"max_wal_size":       "1GB",
	"checkpoint_timeout": "15min",
	"timezone":           "UTC",
	"log_timezone":       "UTC",
	"log_checkpoints":    "off",
	"log_line_prefix":    "%m [%p] %q%u@%d %a ",
	"cluster_name":       "souk",
}

// disposable are the settings of data that may be lost with the machine's power.
// A commit is written, if not synced, before it is acknowledged: it outlives a
// server that is killed.
var disposable = map[string]string{
	"fsync":              "off",
	"full_page_writes":   "off",
	"autovacuum":         "off",
	"max_connections":    "400",
	"checkpoint_timeout": "1h",
}

// replicated are the settings of a server with standbys, and of the standbys, which need as
// many connections as their primary has.
var replicated = map[string]string{
	"wal_level":       "replica",
	"max_wal_senders": "10",
	// A standby that was away for longer than this much log is made anew.
	"wal_keep_size": "128MB",
	// A standby's reads wait for nothing of the primary's: what is in the way of the replay for
	// longer is cancelled, and who reads asks the primary.
	"max_standby_streaming_delay": "1s",
	"max_standby_archive_delay":   "1s",
	"wal_receiver_timeout":        "10s",
	"wal_sender_timeout":          "10s",
	"wal_retrieve_retry_interval": "200ms",
}

// Replicated are the settings of servers on a laptop that are standbys of one another.
func Replicated() map[string]string {
	settings := maps.Clone(laptop)
	maps.Copy(settings, replicated)
	return settings
}

// arguments is the postmaster's command line.
func (s *Server) arguments() []string {
	settings := maps.Clone(laptop)
	if s.opts.Disposable {
		maps.Copy(settings, disposable)
	}
	if s.opts.Standbys || s.opts.Primary != nil {
		maps.Copy(settings, replicated)
	}
	maps.Copy(settings, s.opts.Settings)
	settings["port"] = strconv.Itoa(s.port)
	args := []string{"-D", s.data}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}
