package cell_test

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
)

// Every bucket can be put into an id and read from it, and the rest of the id stays: version,
// variant, and the time, whose order ids keep.
func TestIDsCarryTheirBucket(t *testing.T) {
	t.Parallel()
	versions := map[string]uuid.UUID{
		"4": uuid.New(), "5": uuid.NewSHA1(uuid.New(), []byte("guest")), "7": uuid.Must(uuid.NewV7()),
	}
	for version, id := range versions {
		for b := range cell.Bucket(cell.Buckets) {
			in := cell.In(id, b)
			if cell.Of(in) != b || in.Version() != id.Version() || in.Variant() != uuid.RFC4122 {
				t.Fatalf("version %s in bucket %d: %s is in %d, of version %d", version, b, in, cell.Of(in), in.Version())
			}
			if cell.In(in, cell.Of(id)) != id {
				t.Fatalf("version %s: %s lost more than its bucket", version, id)
			}
			if of, err := cell.OfText(in.String()); err != nil || of != b {
				t.Fatalf("%s as text is in bucket %d, %v", in, of, err)
			}
			if back, err := cell.ParseBucket(b.String()); err != nil || back != b || len(b.String()) != 2 {
				t.Fatalf("bucket %d is written %q, which is read as %d, %v", b, b, back, err)
			}
		}
	}
}

func TestNewIDs(t *testing.T) {
	t.Parallel()
	seen, last := map[uuid.UUID]bool{}, uuid.Nil
	for range 10_000 {
		id, err := cell.NewID(1023)
		if err != nil || seen[id] || cell.Of(id) != 1023 || id.Version() != 7 {
			t.Fatalf("%s, seen %t, bucket %d, %v", id, seen[id], cell.Of(id), err)
		}
		if bytes.Compare(id[:8], last[:8]) < 0 {
			t.Fatalf("%s is before %s, which was made before it", id, last)
		}
		seen[id], last = true, id
	}
	order, err := cell.NewIDWith(last.String())
	if err != nil {
		t.Fatal(err)
	}
	if of, err := cell.OfText(order); err != nil || of != 1023 {
		t.Errorf("%s is in bucket %d, %v", order, of, err)
	}
}

func TestNoBucket(t *testing.T) {
	t.Parallel()
	if b, err := cell.OfText("S-7K3M-9QXV"); err == nil {
		t.Errorf("a number is an id in bucket %d", b)
	}
	if id, err := cell.NewIDWith("guest"); err == nil {
		t.Errorf("%s is with no id", id)
	}
	for _, text := range []string{"", "0", "000", "0U", "l0", "é"} {
		if b, err := cell.ParseBucket(text); err == nil {
			t.Errorf("%q is bucket %d", text, b)
		}
	}
}
