package people

// This file gives the tests of this package what it does not export.

var ValidName = validName
