package lint

import (
	"bytes"
	"errors"
	"io"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/scenarios"
)

// scenarioFilter is the filter of one document.
type scenarioFilter struct {
	name   string
	filter text
}

// scenarioFilters returns the filters of an item, as far as it reads.
func scenarioFilters(it scenarios.Item) []scenarioFilter {
	var list []scenarioFilter
	dec := yaml.NewDecoder(bytes.NewReader(it.Data))
	for {
		var doc struct {
			Name   text `yaml:"name"`
			Filter text `yaml:"filter"`
		}
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return list
		}
		var mistyped *yaml.TypeError
		if err != nil && !errors.As(err, &mistyped) {
			return list
		}
		list = append(list, scenarioFilter{doc.Name.value, doc.Filter})
	}
}
