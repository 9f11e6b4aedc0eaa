package numbering

import (
	"embed"
	"encoding/csv"
	"fmt"
	"strings"
	"sync"
)

//go:embed data/countries.csv data/locations.csv
var data embed.FS

// Shipped are the locations that come with the server: the world, Russia and
// Kazakhstan with their regions, Europe with its countries, and which of them
// is the nearest to the rest of the world. None has a technical number. The
// slice is the caller's, what is in it is not.
func Shipped() []Location { return append([]Location(nil), shipped().locations...) }

type shippedData struct {
	locations []Location
	countries map[string]Name
}

// shipped reads the data once. A fault in it is one of the program: it is
// compiled in, and a test reads it.
var shipped = sync.OnceValue(func() shippedData {
	d := shippedData{countries: map[string]Name{}}
	nearest := map[string][]string{}
	for _, row := range rows("data/countries.csv", 5) {
		code, name, parent, near := row[0], Name{RU: row[1], EN: row[2]}, row[3], row[4]
		d.countries[code] = name
		if parent == "" {
			nearest[near] = append(nearest[near], code)
			continue
		}
		d.locations = append(d.locations, Location{ID: strings.ToLower(code), Parent: parent, Name: name, Countries: []string{code}})
	}
	for _, row := range rows("data/locations.csv", 5) {
		d.locations = append(d.locations, Location{
			ID: row[0], Parent: row[1], Name: Name{RU: row[2], EN: row[3]}, Prefixes: strings.Fields(row[4]),
		})
	}
	for i, l := range d.locations {
		d.locations[i].Nearest = nearest[l.ID]
	}
	return d
})

// rows are those of an embedded table, without the one of titles.
func rows(name string, fields int) [][]string {
	f, err := data.Open(name)
	if err != nil {
		panic(err)
	}
	r := csv.NewReader(f)
	r.Comment, r.FieldsPerRecord = '#', fields
	all, err := r.ReadAll()
	if err != nil {
		panic(fmt.Errorf("%s: %w", name, err))
	}
	return all[1:]
}

// countryName is what people call a country.
func countryName(code string) Name {
	if n, ok := shipped().countries[code]; ok {
		return n
	}
	return Name{EN: code}
}
