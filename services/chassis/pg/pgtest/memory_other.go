//go:build unix && !linux

package pgtest

// memory is "": there is no folder in memory that every system has.
func memory() string { return "" }
