package supervisor

// For tests of what cannot be seen from outside.
var (
	DecodeView   = decodeView
	NewTransport = newTransport
)
