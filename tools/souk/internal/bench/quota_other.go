//go:build !linux

package bench

import (
	"context"
	"errors"
)

// quota bounds the processor time of processes, which this system does not.
type quota struct{}

func newQuota(float64) (*quota, error) {
	return nil, errors.New("processors are held with control groups of Linux")
}

func (q *quota) hold(int) error { return nil }

func (q *quota) release(context.Context) error { return nil }
