// Package archtest keeps the shape of the tree: which package may import which
// and why, a comment for every package, tests that neither sleep nor skip. It
// has tests only.
package archtest
