// Package e2e holds the acceptance tests: the program as users run it, seen
// through its HTTP API, with telephones that are not ours (sipp, baresip).
package e2e
