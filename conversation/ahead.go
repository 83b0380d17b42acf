package conversation

// StepBeyond takes revision and event number beyond those of a desk that has more of the conversation than was sent to it:
// time went back in the conversation, by a reset of its workflow or with an older copy of Temporal's database, or the desk
// has ended what it thought gone. SIDs are dated from then on, for those of the time that is lost name what only the desk
// knows.
func (s *State) StepBeyond(desk Acknowledgement, untold []Event) {
	s.Revision = max(s.Revision, desk.Revision+1)
	s.DatedSIDs = true
	s.CountFrom(desk.Events, untold)
}

// CountFrom numbers the untold events anew where they do not follow the desk's.
func (s *State) CountFrom(events int, untold []Event) {
	before := s.Events - len(untold) // events are numbered without a gap
	missing := events - before
	if missing <= 0 {
		return
	}
	s.Events += missing
	for i := range untold {
		untold[i].Number += missing
	}
}
