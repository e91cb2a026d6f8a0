package domain

import "errors"

// The errors of reads.
var (
	// ErrNotReady is a model that has not been made yet.
	ErrNotReady = errors.New("the model is being made for the first time")
	// ErrInvalidCursor is one of another list, or changed.
	ErrInvalidCursor = errors.New("invalid cursor")
	// ErrTooManyPeriods is a time with more hours or days than MaxPeriods.
	ErrTooManyPeriods = errors.New("too many periods")
	// ErrTimeZone is the name of no time zone.
	ErrTimeZone = errors.New("unknown time zone")
	// ErrText is text that no database has.
	ErrText = errors.New("text with a zero byte or invalid UTF-8")
)
