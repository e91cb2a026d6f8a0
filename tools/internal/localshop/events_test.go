package localshop

import (
	"net"
	"testing"
)

// TestBrokerLeavesATakenPort: until the broker has answered, each of its processes listens
// at a port of its own, because another program may have taken the last one.
func TestBrokerLeavesATakenPort(t *testing.T) {
	t.Parallel()
	var b broker
	first, err := b.nextAddress()
	if err != nil {
		t.Fatal(err)
	}
	if taken, err := net.Listen("tcp", first); err == nil { // else another program has it already
		defer taken.Close()
	}
	second, err := b.nextAddress()
	if err != nil || second == first {
		t.Fatalf("the next process would listen at %s as well: %v", second, err)
	}
	b.ready = true
	if kept, err := b.nextAddress(); err != nil || kept != second || b.address() != second {
		t.Errorf("a broker that has answered moved from %s to %s, %v", second, kept, err)
	}
}
