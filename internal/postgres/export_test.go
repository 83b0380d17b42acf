package postgres

// PID returns the process ID of the server; after its end, that of the last process.
func (s *Server) PID() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.process.Pid
}
