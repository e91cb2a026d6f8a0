package store

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/id"
)

// BenchmarkPayment authorizes and captures, 32 at a time, and reports the
// memory that the store keeps per payment.
func BenchmarkPayment(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "j"), time.Now, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	before := heap()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			of := id.New("x_") + "0000000000000000"
			amount := int64(1250)
			a := s.Execute(Request{ID: id.New("req_"), IdempotencyKey: "authorize:" + of}, func(st *State) (*Entry, *Error) {
				return st.CreateIntent(CreateIntent{
					Amount: &amount, Currency: "gbp", Confirm: true, CaptureMethod: "manual", PaymentMethod: "pm_card_visa",
					Metadata: NewMetadata([]Pair{{"order_id", of}, {"attempt_id", of}}),
				})
			})
			if a.Err != nil {
				b.Error(a.Err.Message)
				return
			}
			a = s.Execute(Request{ID: id.New("req_"), IdempotencyKey: "capture:" + of}, func(st *State) (*Entry, *Error) {
				return st.CaptureIntent(a.Object.(*Intent).ID, nil)
			})
			if a.Err != nil {
				b.Error(a.Err.Message)
				return
			}
		}
	})
	b.ReportMetric(float64(heap()-before)/float64(b.N), "kept-B/payment")
	runtime.KeepAlive(s)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
