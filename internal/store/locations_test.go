package store_test

import (
	"testing"

	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

func TestLocationsThatDoNotFitAreLeftOutAndCanBeRepaired(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	if _, err := s.PutLocation(ctx, storetest.Mine, numbering.Location{ID: "de", Number: "+4930901820"}); err != nil {
		t.Fatal(err)
	}
	// Another version, whose tree had such a parent.
	for _, config := range []string{`{"id":"a","parent":"gone","name":{"en":"A"}}`, `{"id":"b","parent":"a","name":{"en":"B"},"number":"+4930901821"}`} {
		_, err := s.SQLite().ExecContext(ctx, `INSERT INTO locations (account_id, id, config, updated_at) VALUES ($1, $2, $3, 1)`, storetest.Mine, config[7:8], config)
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := s.LocationTree(ctx, storetest.Mine)
	if err != nil {
		t.Fatal(err)
	}
	de, _ := tree.Location("de")
	if _, ok := tree.Location("a"); ok || de.Number != "+4930901820" {
		t.Errorf("the tree is not what fits: %+v", de)
	}
	if _, err := s.PutLocation(ctx, storetest.Mine, numbering.Location{ID: "fr", Number: "+33123456789"}); err != nil {
		t.Error("others cannot be changed:", err)
	}
	if _, err := s.PutLocation(ctx, storetest.Mine, numbering.Location{ID: "a", Parent: "world", Name: numbering.Name{EN: "A"}}); err != nil {
		t.Error("it cannot be repaired:", err)
	}
	if tree, err = s.LocationTree(ctx, storetest.Mine); err != nil {
		t.Fatal(err)
	}
	if b, ok := tree.Location("b"); !ok || b.Number != "+4930901821" {
		t.Errorf("what is repaired is not back: %+v", b)
	}
	if err := s.DeleteLocation(ctx, storetest.Mine, "b"); err != nil {
		t.Error(err)
	}
}
