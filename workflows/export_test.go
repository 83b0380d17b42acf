package workflows

// Continued is what a run passes to the next, for the contract test.
type Continued = continued
