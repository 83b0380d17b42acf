package routes

// This file gives the tests of this package what it does not export.

const MaxConfiguration = maxConfiguration

var ReadRouting = readRouting
