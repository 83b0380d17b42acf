package desk

// This file gives the tests of this package what it does not export.

var (
	Schema        = schema
	SealedColumns = sealedColumns
)
