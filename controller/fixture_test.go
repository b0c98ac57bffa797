package controller_test

import "github.com/handover-controller/handover/controller/decide/decidetest"

// The world of these tests.
var (
	now         = decidetest.Now
	thisBoot    = decidetest.ThisBoot
	acking      = decidetest.Acking
	both        = decidetest.Both
	answers     = decidetest.AnswersWith
	firstStart  = decidetest.FirstStart
	hears       = decidetest.Hears
	id          = decidetest.ID
	inContainer = decidetest.InContainer
	isGone      = decidetest.IsGone
	otherListed = decidetest.OtherListed
	ownListed   = decidetest.OwnListed
	phase       = decidetest.Phase
	releasedFor = decidetest.ReleasedFor
	serving     = decidetest.Serving
	with        = decidetest.With
	youngerPeer = decidetest.YoungerPeer
)
