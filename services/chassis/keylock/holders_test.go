package keylock_test

import (
	"context"
	"errors"
	"testing"

	"github.com/souk-shop/souk/services/chassis/keylock"
)

func TestSeveralHolders(t *testing.T) {
	t.Parallel()
	m := keylock.Map[string]{Holders: 2}
	lock := func(key string) (func(), error) { return m.Lock(t.Context(), key) }
	first, err := lock("a")
	if err != nil {
		t.Fatal(err)
	}
	second, err := lock("a")
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	third := make(chan error, 1)
	go func() {
		_, err := m.Lock(ended, "a")
		third <- err
	}()
	if other, err := lock("b"); err != nil {
		t.Error(err)
	} else {
		other()
	}
	cancel()
	if err := <-third; !errors.Is(err, context.Canceled) {
		t.Errorf("a third holder: %v", err)
	}
	first()
	if again, err := lock("a"); err != nil {
		t.Error(err)
	} else {
		again()
	}
	second()
}
