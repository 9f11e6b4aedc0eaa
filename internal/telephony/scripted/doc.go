// Package scripted is a phone system without phones: people behave as their
// scripts say. It carries the scenarios in tests and in dry runs
// (internal/dryrun), both in virtual time.
package scripted
