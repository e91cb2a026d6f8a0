//go:build race

package gateway

// underRace reports that the race detector is on, whose shadow memory is several times
// the program's: figures of memory say nothing then.
const underRace = true
