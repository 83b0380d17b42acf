package conversation

// StepBeyond raises the revision and the event numbers above those of a desk that has more of the conversation than
// was sent to it. This happens when the conversation went back in time, by a reset of its workflow or a restored
// older copy of Temporal's database, or when the desk ended a conversation that it considered lost. From then on
// SIDs contain their time, because SIDs from the lost time name things that only the desk knows. The pending events
// are renumbered in place.
func (s *State) StepBeyond(desk Acknowledgement, pending []Event) {
	s.Revision = max(s.Revision, desk.Revision+1)
	s.DatedSIDs = true
	s.CountFrom(desk.Events, pending)
}

// CountFrom renumbers the pending events in place if the desk already has events with their numbers. The parameter
// events is how many events the desk has.
func (s *State) CountFrom(events int, pending []Event) {
	before := s.Events - len(pending) // events are numbered without a gap
	missing := events - before
	if missing <= 0 {
		return
	}
	s.Events += missing
	for i := range pending {
		pending[i].Number += missing
	}
}
