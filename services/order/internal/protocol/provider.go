package protocol

// provider does as it promises: the first call under a key decides, every later
// one gets the same answer and changes nothing.
func (m *moves) provider(o order) {
	if next := o; o.Charge == wantsPayer {
		next.Charge = onHold
		m.add(PayerActs, next)
	}
	if o.has(callHold) {
		m.provideHold(o)
	}
	if o.has(callTake) {
		m.provideTake(o)
	}
	if o.has(callVoid) {
		m.provideVoid(o)
	}
	if next := o; o.has(callHoldAgain) && o.Second == noCharge {
		next.Second = onHold
		next.Net |= saysHeld
		m.add(ProviderHolds, next)
	}
	if o.has(callFind) {
		m.provideFind(o)
	}
}

func (m *moves) provideHold(o order) {
	if o.Charge != noCharge || o.has(saysError) {
		m.add(ProviderRepeats, o)
		return
	}
	no, payer := o, o
	if m.fault == KeepsErrorForNothing {
		m.keepError(o)
	}
	o.Charge = onHold
	m.keepError(o)
	o.Net |= saysHeld
	m.add(ProviderHolds, o)
	if m.fault != ForgetsDecline {
		no.Charge = refused
		m.keepError(no)
	}
	no.Net |= saysDeclined
	m.add(ProviderDeclines, no)
	payer.Charge = wantsPayer
	m.keepError(payer)
	payer.Net |= saysWantsPayer
	m.add(ProviderWantsPayer, payer)
}

func (m *moves) provideTake(o order) {
	refusedBefore := o.has(saysNotTaken) && m.fault != ForgetsCaptureRefusal
	switch {
	case o.Charge == taken, refusedBefore:
		m.add(ProviderRepeats, o)
	case o.Charge == onHold:
		no := o
		o.Charge = taken
		m.keepError(o)
		o.Net |= saysTaken
		m.add(ProviderTakes, o)
		if m.fault != ForgetsCaptureRefusal {
			no.Charge = notTaken
		}
		no.Net |= saysNotTaken
		m.add(ProviderRefuses, no)
	default:
		o.Net |= saysNotTaken
		m.add(ProviderRefuses, o)
	}
}

func (m *moves) provideVoid(o order) {
	switch o.Charge {
	case onHold, notTaken, wantsPayer:
		o.Charge = chargeEnded
		m.keepError(o)
		o.Net |= saysVoided
		m.add(ProviderVoids, o)
	case taken:
		m.add(ProviderCannotVoid, o) // what it says is not "voided"
	default:
		m.add(ProviderRepeats, o)
	}
}

// keepError answers what was just done with an error for good.
func (m *moves) keepError(done order) {
	if m.fault == KeepsError || (m.fault == KeepsErrorForNothing && done.Charge == noCharge) {
		done.Net |= saysError
		m.add(ProviderKeepsError, done)
	}
}

// provideFind tells of the payment as it is now.
func (m *moves) provideFind(o order) {
	if o.Charge == noCharge {
		o.Net |= saysNotFound
		m.add(ProviderFindsNothing, o)
		return
	}
	o.Net |= map[charge]message{
		onHold: saysHeld, notTaken: saysHeld, wantsPayer: saysWantsPayer, taken: saysTaken, refused: saysDeclined, chargeEnded: saysVoided,
	}[o.Charge]
	m.add(ProviderTells, o)
}
