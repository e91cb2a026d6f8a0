package stripesim

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// BenchmarkPayment authorizes and captures, 32 at a time, and reports what the
// simulator keeps of a payment.
func BenchmarkPayment(b *testing.B) {
	bank, err := openBank(filepath.Join(b.TempDir(), "j"), time.Now, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer bank.journal.close()
	before := heap()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := newID("x_") + "0000000000000000"
			form := url.Values{
				"amount": {"1250"}, "currency": {"gbp"}, "confirm": {"true"}, "capture_method": {"manual"},
				"payment_method": {"pm_card_visa"}, "metadata[order_id]": {id}, "metadata[attempt_id]": {id},
			}
			a := bank.execute(request{id: newID("req_"), key: fmt.Sprintf("authorize:%s", id)}, func() (*event, *apiError) {
				return bank.create(newParams(form))
			})
			if a.err != nil {
				b.Fatal(a.err.Message)
			}
			in := a.object.(*intent)
			a = bank.execute(request{id: newID("req_"), key: fmt.Sprintf("capture:%s", id)}, func() (*event, *apiError) {
				return bank.capture(in.id, newParams(nil))
			})
			if a.err != nil {
				b.Fatal(a.err.Message)
			}
		}
	})
	b.ReportMetric(float64(heap()-before)/float64(b.N), "kept-B/payment")
	runtime.KeepAlive(bank)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
