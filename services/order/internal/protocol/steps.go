package protocol

import "github.com/souk-shop/souk/services/order/internal/domain"

// Step names what can happen, by who does it.
type Step string

// What can happen. A message that arrives stays in the network's set: it may
// arrive again.
const (
	CustomerCancels Step = "customer: cancels"
	CustomerAdds    Step = "customer: puts one more into the cart"

	DriverAsks          Step = "driver: asks"
	DriverAsksOn        Step = "driver: is answered that the stock is released, asks payment"
	DriverGoesOn        Step = "driver: gets the answer, goes on before it writes the next state"
	DriverCatchesUp     Step = "driver: waits for long, writes the state that it has come to"
	DriverWrites        Step = "driver: gets the answer, writes the next state"
	DriverFindsDeadline Step = "driver: finds that the deadline has passed, writes that"
	DriverTimesOut      Step = "driver: gets no answer in time, asks again later"
	DriverCrashes       Step = "driver: crashes"
	DriverFollowsUp     Step = "driver: finds the order PAID, asks the cart to remove what was ordered"
	DriverFinishes      Step = "driver: is answered that it is removed, writes that nothing is left to do"

	HoldRunsOut       Step = "catalog: the time of the hold is over"
	SweeperFrees      Step = "catalog: the sweeper frees the overdue unit"
	ReserveHolds      Step = "catalog: Reserve arrives, the unit is held"
	ReserveIsShort    Step = "catalog: Reserve arrives, there is no unit left"
	ReserveFindsHeld  Step = "catalog: Reserve arrives, the unit is held for the other order"
	ReserveRepeated   Step = "catalog: Reserve arrives again, the unit is held already"
	ReserveTooLate    Step = "catalog: Reserve arrives after the hold has ended, refused"
	ConfirmSells      Step = "catalog: Confirm arrives, the unit is sold"
	ConfirmRepeated   Step = "catalog: Confirm arrives again, the unit is sold already"
	ConfirmTooLate    Step = "catalog: Confirm arrives after the hold has ended, refused"
	ReleaseFrees      Step = "catalog: Release arrives, the unit is free"
	ReleaseRepeated   Step = "catalog: Release arrives, nothing is held any more"
	ReleaseTombstone  Step = "catalog: Release arrives before any Reserve, leaves a tombstone"
	ReleaseForgotten  Step = "catalog: Release arrives before any Reserve, leaves nothing (fault)"
	ConfirmOverExpiry Step = "catalog: Confirm arrives after the hold has ended, sells all the same (fault)"

	RemoveTakes        Step = "cart: RemoveOrdered arrives, the unit leaves the cart"
	RemoveRepeated     Step = "cart: RemoveOrdered arrives again, nothing leaves"
	RemoveTakesAgain   Step = "cart: RemoveOrdered arrives again, one more leaves (fault)"
	RemoveKeepsChanged Step = "cart: RemoveOrdered arrives, the line has changed and stays as it is (fault)"
	RemoveTakesTheLine Step = "cart: RemoveOrdered arrives, the line goes (fault)"

	AuthorizeBegins   Step = "payment: Authorize arrives, writes SENT"
	AuthorizeResumes  Step = "payment: Authorize arrives again while SENT, goes on"
	AuthorizeAnswered Step = "payment: Authorize arrives again, answers from its row"
	AuthorizeTooLate  Step = "payment: Authorize arrives after Cancel, refused"
	CaptureBegins     Step = "payment: Capture arrives, writes CAPTURE_SENT"
	CaptureResumes    Step = "payment: Capture arrives again while CAPTURE_SENT, goes on"
	CaptureAnswered   Step = "payment: Capture arrives again, answers from its row"
	CaptureTooLate    Step = "payment: Capture arrives after Cancel, refused"
	CancelBegins      Step = "payment: Cancel arrives, writes VOID_SENT"
	CancelResumes     Step = "payment: Cancel arrives again while VOID_SENT, goes on"
	CancelAnswered    Step = "payment: Cancel arrives, nothing is held: answers from its row"
	CancelTombstone   Step = "payment: Cancel arrives before any Authorize, leaves a tombstone"
	CancelForgotten   Step = "payment: Cancel arrives before any Authorize, leaves nothing (fault)"

	PaymentAsks            Step = "payment: asks the provider"
	PaymentAsksAgainNewKey Step = "payment: asks the provider again, under a new key (fault)"
	PaymentWrites          Step = "payment: gets the provider's answer, writes it and answers"
	PaymentGoesOnToVoid    Step = "payment: retrieves what there is, goes on to void it"
	PaymentTimesOut        Step = "payment: the provider is silent, the outcome is unknown"
	PaymentTakesForNo      Step = "payment: the provider is silent, takes that for a no (fault)"
	PaymentTakesForVoided  Step = "payment: is answered \"not found\", takes that for voided (fault)"
	PaymentCrashes         Step = "payment: crashes"
	PaymentLooks           Step = "payment: gets an error that the key keeps, asks what there is (after a fault)"
	ReviewFindsNothing     Step = "payment: a day later, no payment is in the provider's list (after a fault)"
	ReviewTakesForVoided   Step = "payment: no payment is in the provider's list yet, takes that for voided (fault)"

	ProviderHolds        Step = "provider: the authorization arrives, the money is on hold"
	ProviderDeclines     Step = "provider: the authorization arrives, declined"
	ProviderWantsPayer   Step = "provider: the authorization arrives, the payer must act first"
	PayerActs            Step = "payer: acts, the money is on hold"
	ProviderTakes        Step = "provider: the capture arrives, the money is taken"
	ProviderRefuses      Step = "provider: the capture arrives, refused for good"
	ProviderVoids        Step = "provider: the void arrives, nothing is held"
	ProviderRepeats      Step = "provider: a call arrives again, same key and same answer"
	ProviderCannotVoid   Step = "provider: the void arrives after the capture, refused (after a fault)"
	ProviderKeepsError   Step = "provider: does as it is asked, but answers with an error for good (fault)"
	ProviderTells        Step = "provider: tells what there is of the payment (after a fault)"
	ProviderFindsNothing Step = "provider: looks for the payment, finds none (fault)"
)

// trouble reports whether the step is one that no party may rely on: the
// promise that every order ends must hold without it.
func (s Step) trouble() bool {
	switch s {
	case CustomerCancels, CustomerAdds, DriverFindsDeadline, DriverTimesOut, DriverCrashes, HoldRunsOut,
		PaymentTimesOut, PaymentTakesForNo, PaymentCrashes, PayerActs:
		return true
	}
	return false
}

// unit is what a step needs to know of the other order: whether it has the unit, and
// whether for good.
type unit uint8

const (
	either unit = iota
	free
	aside
	gone
)

// unit tells whether an order leaves the unit to the other one. An overdue hold
// makes it neither free nor gone: a Reserve that finds one frees it first, which
// is the sweeper's step.
func (o order) unit() unit {
	switch {
	case o.Reservation == overdue:
		return either
	case o.Reservation == held:
		return aside
	case o.Reservation.takesUnit():
		return gone
	}
	return free
}

// move is one way on from a state of an order.
type move struct {
	step  Step
	needs unit
	to    order
}

func (m move) String() string {
	switch m.step {
	case DriverAsks:
		return string(m.step) + " " + string(m.to.at().Step())
	case DriverGoesOn:
		return string(m.step) + ": " + string(m.to.Ahead)
	case DriverWrites:
		return string(m.step) + ": " + string(m.to.State)
	case PaymentWrites:
		return string(m.step) + ": " + string(m.to.Attempt)
	}
	return string(m.step)
}

// moves collects every way on from one state of one order.
type moves struct {
	fault Fault
	all   []move
}

// after returns every move that is possible in o.
func after(o order, fault Fault) []move {
	m := &moves{fault: fault, all: make([]move, 0, 24)}
	m.customer(o)
	m.driver(o)
	m.catalog(o)
	m.cart(o)
	m.payment(o)
	m.paymentAndProvider(o)
	m.review(o)
	m.provider(o)
	return m.all
}

func (m *moves) add(step Step, to order)               { m.addIf(either, step, to) }
func (m *moves) addIf(needs unit, step Step, to order) { m.all = append(m.all, move{step, needs, to}) }

// legal is the state machine of the real code, by asking domain.Next.
var legal = func() map[domain.State]map[domain.Event]domain.State {
	all := map[domain.State]map[domain.Event]domain.State{}
	for _, s := range domain.States() {
		all[s] = map[domain.Event]domain.State{}
		for _, e := range domain.Events() {
			if t, err := domain.Next(s, e); err == nil {
				all[s][e] = t.To
			}
		}
	}
	return all
}()

// next is the real state machine.
func (m *moves) next(from domain.State, e domain.Event) (to domain.State, ok bool) {
	to, ok = legal[from][e]
	switch {
	case m.fault == CaptureBeforeConfirm && from == domain.Authorizing && e == domain.PaymentAuthorized:
		to = domain.Capturing
	case m.fault == CaptureBeforeConfirm && from == domain.Capturing && e == domain.MoneyCaptured:
		to = domain.Confirming
	case m.fault == CaptureBeforeConfirm && from == domain.Confirming && e == domain.StockConfirmed:
		to = domain.Paid
	case m.fault == CancelWhileCapturing && from == domain.Capturing && e == domain.CancelAsked:
		to, ok = domain.Cancelling, true
	}
	return to, ok
}

// become takes the order along a transition from the state that was decided on: one UPDATE
// that names the state in the table. It reports false if there is no such transition. Stands
// for Store.Advance and Store.Cancel.
func (m *moves) become(o *order, from domain.State, e domain.Event) bool {
	to, ok := m.next(from, e)
	if ok {
		o.State, o.Ahead = to, ""
		o.hearNoMore()
	}
	return ok
}

// goOn is become without the write: it is the driver alone that knows.
func (m *moves) goOn(o *order, from domain.State, e domain.Event) bool {
	to, ok := m.next(from, e)
	if !ok || !to.Deferrable() && (m.fault != CaptureAhead || to != domain.Capturing) {
		return false
	}
	o.Ahead = to
	o.hearNoMore()
	return true
}

// hearNoMore ends a question.
func (o *order) hearNoMore() {
	o.Driver = 0
	for _, a := range answers {
		o.Net &^= a.answer
	}
}

// reply is a neighbor's answer to the driver's question. If the order no longer
// asks it, the answer is not read.
func (o *order) reply(question, answer message) {
	for _, q := range questions[o.at()] {
		if q == question && !o.Done {
			o.Net |= answer
		}
	}
}

func (o order) has(m message) bool { return o.Net&m != 0 }

// questions are what the driver asks in each state. In CANCELLING it asks
// twice, and the second time only when the first was answered.
var questions = map[domain.State][]message{
	domain.Pending:     {msgReserve},
	domain.Authorizing: {msgAuthorize},
	domain.Confirming:  {msgConfirm},
	domain.Capturing:   {msgCapture},
	domain.Cancelling:  {msgRelease, msgCancel},
	domain.Paid:        {msgRemove},
}

// customer may cancel at any time. Stands for App.CancelOrder: one guarded
// update decides. The customer may also go on shopping at any time; that is looked
// at once the order is PAID, for until then no step depends on it.
func (m *moves) customer(o order) {
	if next := o; m.become(&next, o.State, domain.CancelAsked) {
		m.add(CustomerCancels, next)
	}
	if o.State == domain.Paid && !o.Added {
		o.Added = true
		o.Cart++
		m.add(CustomerAdds, o)
	}
}

// driver performs one step after another. Stands for writer.step: ask, then
// write what came of it, or go on first where that may wait, and nothing when no definite
// answer came. What a paid order leaves to do is Driver.followUp.
func (m *moves) driver(o order) {
	if o.ended() {
		return
	}
	if o.Driver == 0 {
		if late := o; m.become(&late, o.at(), domain.DeadlinePassed) {
			m.add(DriverFindsDeadline, late)
		}
		if crashed := o; o.Ahead != "" {
			crashed.Ahead = ""
			m.add(DriverCrashes, crashed)
		}
		o.Driver = questions[o.at()][0]
		o.Net |= o.Driver
		if o.Driver == msgRemove {
			m.add(DriverFollowsUp, o)
		} else {
			m.add(DriverAsks, o)
		}
		return
	}
	if next := o; o.Driver == msgRemove && o.has(ansRemoved) {
		next.Done, next.Driver = true, 0
		next.Net &^= ansRemoved
		m.add(DriverFinishes, next)
	}
	if o.Driver == msgRelease && o.has(ansReleased) {
		on := o
		on.Driver = msgCancel
		on.Net |= msgCancel
		if m.fault == CancelledWithoutVoid {
			m.become(&on, o.at(), domain.GivenBack)
		}
		m.add(DriverAsksOn, on)
	}
	for _, a := range answers {
		if a.question != o.Driver || !o.has(a.answer) || a.event == "" {
			continue
		}
		if next := o; m.become(&next, o.at(), a.event) {
			m.add(DriverWrites, next)
		}
		if on := o; m.goOn(&on, o.at(), a.event) {
			m.add(DriverGoesOn, on)
		}
	}
	wrote := o
	wrote.State, wrote.Ahead = o.at(), ""
	if o.Ahead != "" {
		m.add(DriverCatchesUp, wrote)
	}
	wrote.Driver = 0
	m.add(DriverTimesOut, wrote)
	o.Ahead, o.Driver = "", 0
	m.add(DriverCrashes, o)
}

// catalog answers the driver's questions about the unit, each in a transaction
// of its own. Stands for the catalog's Store.Reserve, Confirm and Release and
// the decisions in its domain.Reservation.
func (m *moves) catalog(o order) {
	if next := o; o.Reservation == held {
		next.Reservation = overdue
		m.add(HoldRunsOut, next)
	}
	if next := o; o.Reservation == overdue {
		next.Reservation = expired
		m.add(SweeperFrees, next)
	}
	if o.has(msgReserve) {
		m.reserve(o)
	}
	if o.has(msgConfirm) {
		m.confirm(o)
	}
	if o.has(msgRelease) {
		m.release(o)
	}
}

func (m *moves) reserve(o order) {
	short, wait := o, o
	switch o.Reservation {
	case noReservation:
		short.reply(msgReserve, ansShort)
		m.addIf(gone, ReserveIsShort, short)
		wait.reply(msgReserve, ansHeldByOther)
		m.addIf(aside, ReserveFindsHeld, wait)
		o.Reservation = held
		o.reply(msgReserve, ansReserved)
		m.addIf(free, ReserveHolds, o)
	case held, committed:
		o.reply(msgReserve, ansReserved)
		m.add(ReserveRepeated, o)
	default:
		o.reply(msgReserve, ansLost)
		m.add(ReserveTooLate, o)
	}
}

func (m *moves) confirm(o order) {
	step := ConfirmTooLate
	switch {
	case o.Reservation == held:
		step, o.Reservation = ConfirmSells, committed
	case o.Reservation == committed:
		step = ConfirmRepeated
	case m.fault == ConfirmIgnoresExpiry && (o.Reservation == overdue || o.Reservation == expired):
		step, o.Reservation = ConfirmOverExpiry, committed
	}
	if o.Reservation == committed {
		o.reply(msgConfirm, ansConfirmed)
	} else {
		o.reply(msgConfirm, ansLost)
	}
	m.add(step, o)
}

// release leaves a tombstone for an order that is unknown: the Reserve may
// still be on its way, and must be refused.
func (m *moves) release(o order) {
	step := ReleaseRepeated
	switch {
	case o.Reservation == noReservation && m.fault == NoReleaseTombstone:
		step = ReleaseForgotten
	case o.Reservation == noReservation:
		step, o.Reservation = ReleaseTombstone, released
	case o.Reservation.takesUnit():
		step, o.Reservation = ReleaseFrees, released
	}
	o.reply(msgRelease, ansReleased)
	m.add(step, o)
}

// cart takes out what was ordered and writes, in the same transaction, a row for the
// order by which it knows a repeat. Stands for the cart's Store.RemoveOrdered.
func (m *moves) cart(o order) {
	if !o.has(msgRemove) {
		return
	}
	step := RemoveRepeated
	switch {
	case o.Removed && m.fault == NoRemovalRow && o.Cart > 0:
		step = RemoveTakesAgain
		o.Cart--
	case o.Removed:
	case o.Added && m.fault == ChangedLinesStay:
		step = RemoveKeepsChanged
	case m.fault == LinesGo:
		step, o.Cart = RemoveTakesTheLine, 0
	default:
		step = RemoveTakes
		o.Cart--
	}
	o.Removed = true
	o.reply(msgRemove, ansRemoved)
	m.add(step, o)
}

// payment answers the driver's questions about the money. What it does not know
// it asks the provider, but first it writes what it is going to ask. Stands for
// payment's Service.Authorize, Capture and Cancel.
func (m *moves) payment(o order) {
	if o.has(msgAuthorize) {
		m.authorize(o)
	}
	if o.has(msgCapture) {
		m.capture(o)
	}
	if o.has(msgCancel) {
		m.cancel(o)
	}
}

func (m *moves) authorize(o order) {
	switch o.Attempt {
	case noAttempt:
		o.Attempt, o.Payment = sent, authorizing
		m.add(AuthorizeBegins, o)
	case sent:
		if m.fault == NewKeyOnRetry && o.has(callHold) {
			o.Net |= callHoldAgain
			o.Payment = authorizing
			m.add(PaymentAsksAgainNewKey, o)
			return
		}
		o.Payment = authorizing
		m.add(AuthorizeResumes, o)
	case voidSent, voided:
		o.reply(msgAuthorize, ansRefused)
		m.add(AuthorizeTooLate, o)
	case declined:
		o.reply(msgAuthorize, ansRefused)
		m.add(AuthorizeAnswered, o)
	default:
		o.reply(msgAuthorize, ansAuthorized)
		m.add(AuthorizeAnswered, o)
	}
}

func (m *moves) capture(o order) {
	switch o.Attempt {
	case authorized:
		o.Attempt, o.Payment = captureSent, capturing
		m.add(CaptureBegins, o)
	case captureSent:
		o.Payment = capturing
		m.add(CaptureResumes, o)
	case captured:
		o.reply(msgCapture, ansCaptured)
		m.add(CaptureAnswered, o)
	case captureFailed:
		o.reply(msgCapture, ansNotCaptured)
		m.add(CaptureAnswered, o)
	case noAttempt: // PAYMENT_NOT_FOUND is not among the definite answers
	default:
		o.reply(msgCapture, ansNotCaptured)
		m.add(CaptureTooLate, o)
	}
}

func (m *moves) cancel(o order) {
	switch o.Attempt {
	case noAttempt:
		o.reply(msgCancel, ansNothingHeld)
		if m.fault == NoCancelTombstone {
			m.add(CancelForgotten, o)
			return
		}
		o.Attempt = voided
		m.add(CancelTombstone, o)
	case sent, authorized, captureFailed:
		o.Attempt = voidSent
		o.Payment = m.howToVoid(o)
		m.add(CancelBegins, o)
	case voidSent:
		o.Payment = m.howToVoid(o)
		m.add(CancelResumes, o)
	case voided, declined:
		o.reply(msgCancel, ansNothingHeld)
		m.add(CancelAnswered, o)
	case captureSent, captured: // unknown, and PAYMENT_CAPTURED: no answer that ends anything
	}
}

// howToVoid is the heart of a cancellation. Whether a payment exists that
// is unknown can't be found out by looking: the authorization may be on
// its way still. Repeating it under its key ends the doubt: now there is one,
// or there never will be, and what there is can be voided.
func (m *moves) howToVoid(o order) work {
	if o.Known {
		return voiding
	}
	return replaying
}

// calls are what a payment process asks the provider.
var calls = map[work]message{
	authorizing: callHold,
	refusing:    callVoid,
	capturing:   callTake,
	replaying:   callHold,
	voiding:     callVoid,
}

// paymentAndProvider asks the provider and writes its answers. A silent provider
// has not said no: the row stays as it is and the next command asks again, under
// the same key. Stands for Service.authorize, capture and void.
func (m *moves) paymentAndProvider(o order) {
	if o.Payment == idle {
		return
	}
	call := calls[o.Payment]
	if m.fault == NotFoundIsVoided && o.Payment == replaying {
		call = callFind
	}
	if next := o; !o.has(call) {
		next.Net |= call
		m.add(PaymentAsks, next)
	}
	if next := o; o.has(saysError) && !o.has(callFind) {
		next.Net |= callFind
		m.add(PaymentLooks, next)
	}
	m.hear(o)
	silent := o
	silent.Payment = idle
	m.add(PaymentTimesOut, silent)
	m.add(PaymentCrashes, silent)
	switch {
	case m.fault == TimeoutIsDecline && o.Payment == authorizing && o.Attempt == sent:
		silent.Attempt = declined
		silent.reply(msgAuthorize, ansRefused)
		m.add(PaymentTakesForNo, silent)
	case m.fault == TimeoutIsCaptureFailure && o.Payment == capturing && o.Attempt == captureSent:
		silent.Attempt = captureFailed
		silent.reply(msgCapture, ansNotCaptured)
		m.add(PaymentTakesForNo, silent)
	}
}

// hear is a payment process that gets the provider's answer. Another process
// may have moved the row meanwhile: each write names the state it was decided on.
func (m *moves) hear(o order) {
	done := o
	done.Payment = idle
	switch {
	case o.Payment == authorizing && o.Attempt == sent:
		if next := done; o.has(saysHeld) {
			next.Attempt, next.Known = authorized, true
			next.reply(msgAuthorize, ansAuthorized)
			m.add(PaymentWrites, next)
		}
		if next := done; o.has(saysDeclined | saysVoided) {
			next.Attempt = declined
			next.reply(msgAuthorize, ansRefused)
			m.add(PaymentWrites, next)
		}
		if next := o; o.has(saysWantsPayer) {
			next.Payment = refusing
			m.add(PaymentGoesOnToVoid, next)
		}
	case o.Payment == refusing && o.Attempt == sent && o.has(saysVoided):
		done.Attempt = declined
		done.reply(msgAuthorize, ansRefused)
		m.add(PaymentWrites, done)
	case o.Payment == capturing && o.Attempt == captureSent:
		if next := done; o.has(saysTaken) {
			next.Attempt = captured
			next.reply(msgCapture, ansCaptured)
			m.add(PaymentWrites, next)
		}
		if next := done; o.has(saysNotTaken) {
			next.Attempt = captureFailed
			next.reply(msgCapture, ansNotCaptured)
			m.add(PaymentWrites, next)
		}
	case o.Payment == replaying && o.Attempt == voidSent:
		if next := o; o.has(saysHeld | saysWantsPayer) {
			next.Payment = voiding
			m.add(PaymentGoesOnToVoid, next)
		}
		done.Attempt = voided
		done.reply(msgCancel, ansNothingHeld)
		if o.has(saysDeclined | saysVoided) {
			m.add(PaymentWrites, done)
		}
		if o.has(saysNotFound) && m.fault == NotFoundIsVoided {
			m.add(PaymentTakesForVoided, done)
		}
	case o.Payment == voiding && o.Attempt == voidSent && o.has(saysVoided):
		done.Attempt = voided
		done.reply(msgCancel, ansNothingHeld)
		m.add(PaymentWrites, done)
	}
}

// review settles what is open when the key's window is over, from the provider's
// list. That a payment is not in it means that there never will be one only when
// no call is left that could make it. Stands for Service.Review; what is in the
// list is observed as after any other look.
func (m *moves) review(o order) {
	if o.Charge != noCharge || (o.Attempt != sent && o.Attempt != voidSent) {
		return
	}
	o.Attempt, o.Payment = voided, idle
	switch {
	case m.fault == ReviewTooSoon:
		m.add(ReviewTakesForVoided, o)
	case o.has(saysError): // the others end before
		o.Net &^= callHold | saysError // no call is left; the key is forgotten
		m.add(ReviewFindsNothing, o)
	}
}
