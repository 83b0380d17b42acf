package testenv

import (
	"bytes"
	"io"
	"sync"
)

// Output keeps what a process prints. The zero value is ready.
type Output struct {
	mutex sync.Mutex
	text  bytes.Buffer
	log   io.Writer
}

// Write implements [io.Writer].
func (o *Output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.log != nil {
		if _, err := o.log.Write(text); err != nil {
			return 0, err //nolint:wrapcheck // a writer in between
		}
	}
	return o.text.Write(text) //nolint:wrapcheck // it never fails
}

// String returns everything printed so far.
func (o *Output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// tailLength is how many bytes of an output are shown.
const tailLength = 8000

// Tail returns the end of what was printed.
func (o *Output) Tail() string {
	text := o.String()
	return text[max(0, len(text)-tailLength):]
}
