package main

import (
	"os"

	"github.com/perezvon/perezvon/internal/dryrun"
)

// tryCmd is the other side of POST /api/v1/widgets/{name}/try: the server starts
// its own program as `perezvon try`.
type tryCmd struct{}

// Run ends the process itself.
func (tryCmd) Run() error {
	dryrun.Child(os.Stdin, os.Stdout)
	return nil
}
