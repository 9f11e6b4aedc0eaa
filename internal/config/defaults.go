package config

import _ "embed"

// DefaultFile is a commented file with every setting at its default, for
// people to start from. A test keeps it equal to Default.
//
//go:embed perezvon.yaml
var DefaultFile []byte
