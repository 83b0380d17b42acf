package workflows

// Continued is what a run leaves to the next, for the test of the contract.
type Continued = continued
