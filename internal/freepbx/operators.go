package freepbx

import (
	"context"
	"errors"
	"regexp"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
)

// What an import does with an extension of FreePBX.
const (
	OperatorAdd  = "add"  // there is no such operator yet
	OperatorFill = "fill" // what is empty here is filled in
	OperatorSame = "same" // everything is as it was
	OperatorSkip = "skip" // it cannot be an operator
)

// OperatorChange is what an import does, or would do, with one extension.
type OperatorChange struct {
	Extension string
	// Action is one of Operator….
	Action string
	// Fields are what is filled in, and what differs and is kept.
	Fields []FieldChange
	// Why an extension is skipped.
	Why string
}

// FieldChange is one field of an operator.
type FieldChange struct {
	Field string
	// Here is what stands in it, FreePBX what FreePBX has.
	Here, FreePBX string
	// Kept tells that what is here stays.
	Kept bool
}

// ImportOperators makes operators of FreePBX's extensions, with their names and
// the numbers they show outside. What has been set here is kept, operators that
// FreePBX does not know stay, and passwords stay in FreePBX. A dry run changes
// nothing and tells what would be.
func (f *FreePBX) ImportOperators(ctx context.Context, dryRun bool) ([]OperatorChange, error) {
	list, err := users(ctx, f.db)
	if err != nil {
		return nil, ofDatabase(err)
	}
	changes := make([]OperatorChange, 0, len(list))
	for _, u := range list {
		c := OperatorChange{Extension: u.Extension, Action: OperatorSkip, Why: "an operator's extension has 2 to 10 digits"}
		if directory.IsExtension(u.Extension) {
			err := f.store.EditOperator(ctx, f.account, u.Extension, func(o *directory.Operator, there bool) bool {
				c = u.merge(o, there)
				return !dryRun && c.Action != OperatorSame
			})
			var bad invalid.Error
			switch {
			case errors.As(err, &bad):
				c = OperatorChange{Extension: u.Extension, Action: OperatorSkip, Why: bad.Error()}
			case err != nil:
				return changes, err
			}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// merge fills in what is empty.
func (u user) merge(o *directory.Operator, there bool) OperatorChange {
	c := OperatorChange{Extension: u.Extension, Action: OperatorAdd}
	if there {
		c.Action = OperatorSame
	}
	for _, f := range []struct {
		name, theirs string
		ours         *string
	}{{"name", u.Name, &o.Name}, {"caller_id", shown(u.OutboundCID), &o.CallerID}} {
		if f.theirs == "" || f.theirs == *f.ours {
			continue
		}
		change := FieldChange{Field: f.name, Here: *f.ours, FreePBX: f.theirs, Kept: *f.ours != ""}
		if !change.Kept {
			*f.ours = f.theirs
			if there {
				c.Action = OperatorFill
			}
		}
		c.Fields = append(c.Fields, change)
	}
	return c
}

var (
	inBrackets = regexp.MustCompile(`<\s*(\+?[0-9]{3,20})\s*>`)
	bare       = regexp.MustCompile(`^\s*(\+?[0-9]{3,20})\s*$`)
)

// shown is the number of FreePBX's `"Name" <number>`; empty for hidden and the
// like.
func shown(outboundCID string) string {
	for _, form := range []*regexp.Regexp{inBrackets, bare} {
		if m := form.FindStringSubmatch(outboundCID); m != nil {
			return m[1]
		}
	}
	return ""
}
