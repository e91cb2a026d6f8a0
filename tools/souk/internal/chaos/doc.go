// Package chaos breaks a shop while it sells, and proves from the outside that
// it kept its promises. A run starts the shop as processes, sends it visitors
// who buy, share carts and refuse to take no for an answer, strikes it with one
// fault, heals it, waits until it is at rest, and then compares what was
// promised with what is there.
//
// What a run believes: what the visitors were told (the record), what the
// services' databases hold (SQL), and the payment provider's journal. It never
// asks a service how it fared.
//
// A run counts only if the fault is proven to have struck and enough orders were
// accepted around it. That the audit can see is proven too: with a promise of
// the shop sabotaged (see sabotage.go) a run has to fail.
package chaos
