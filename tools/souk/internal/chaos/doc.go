// Package chaos breaks a shop while it sells, and checks from the outside that
// the shop kept its invariants. A run starts the shop as processes, sends it a
// workload of shoppers who buy, share carts and repeat what was not answered,
// injects one fault, heals it, waits until nothing is under way, and then
// compares the answers with what is stored.
//
// The evidence of a run: what the shoppers were answered (the record), what the
// services' databases hold (SQL), and the payment provider's journal. No service
// is asked whether it did well.
//
// A run counts only if the fault is proven to have happened and enough orders
// were accepted around it. The audit is tested too: with an invariant of the
// shop sabotaged (see sabotage.go) a run has to fail.
package chaos
