package decide_test

import "github.com/handover-controller/handover/controller/decide/decidetest"

// The world of these tests.
var (
	short       = decidetest.Short
	id          = decidetest.ID
	ago         = decidetest.Ago
	defaults    = decidetest.Defaults
	serving     = decidetest.Serving
	youngerPeer = decidetest.YoungerPeer
	legacyPeer  = decidetest.LegacyPeer
	listed      = decidetest.ListedAs
	ownListed   = decidetest.OwnListed
	otherListed = decidetest.OtherListed
	with        = decidetest.With
	hears       = decidetest.Hears
	answers     = decidetest.AnswersWith
	asked       = decidetest.Asked
	told        = decidetest.Told
	unreachable = decidetest.Unreachable
	off         = decidetest.Off
	settles     = decidetest.Settles
	inContainer = decidetest.InContainer
	phase       = decidetest.Phase
	heard       = decidetest.Heard
	phaseFor    = decidetest.PhaseFor
	acking      = decidetest.Acking
	isTold      = decidetest.IsTold
	isDead      = decidetest.IsDead
	vouchedFor  = decidetest.VouchedFor
	isGone      = decidetest.IsGone
	firstStart  = decidetest.FirstStart
	steppedDown = decidetest.SteppedDown
	releasedFor = decidetest.ReleasedFor
	now         = decidetest.Now
	thisBoot    = decidetest.ThisBoot
	lastBoot    = decidetest.LastBoot
	anyBoot     = decidetest.AnyBoot
	created     = decidetest.Created
)
