package main

// measured collects the results of all rounds so far.
type measured struct {
	// paced and unpaced are the rounds of one client; many are those of the closed loop.
	paced, unpaced, many []round
	// queued are the times from a transfer to a queue until the reservation, by round.
	queued []timings
	// refused are the times of commands that the validator refused; refusedEvents is how many events they added.
	refused       []timings
	refusedEvents int64
	// cycles is what a paced cycle adds to the history, by round.
	cycles []cycleSize
	// byClient and overHTTP are the rounds at a fixed rate; loaded is the API under full load.
	byClient, overHTTP []round
	loaded             loaded
}

// cycleSize is what one cycle of commands adds to a history, as the average of a round.
type cycleSize struct{ events, bytes float64 }
