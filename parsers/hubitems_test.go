package parsers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"gopkg.in/yaml.v3"
)

// hubTest is the config.yaml of one Hub test, as far as parsers are concerned.
type hubTest struct {
	Parsers         []string          `yaml:"parsers"`
	LogFile         string            `yaml:"log_file"`
	LogType         string            `yaml:"log_type"`
	Labels          map[string]string `yaml:"labels"`
	OverrideStatics yaml.Node         `yaml:"override_statics"`
}

// hubIndex maps the names of the Hub's parsers to their files.
func hubIndex(t *testing.T, hub string) map[string]string {
	data, err := os.ReadFile(filepath.Join(hub, ".index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Parsers map[string]struct{ Path string }
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for name, p := range index.Parsers {
		paths[name] = p.Path
	}
	return paths
}

// hubItems are the parsers that a test names. Package hub runs the tests; here they
// only say which parsers and logs go together.
func hubItems(hub, dir string, config *hubTest, index map[string]string) ([]Item, error) {
	var items []Item
	for _, name := range config.Parsers {
		if name == "" {
			continue
		}
		path, ok := index[name]
		full := filepath.Join(hub, path)
		if !ok {
			full = filepath.Join(hub, name)
			if _, err := os.Stat(full); err != nil {
				full = filepath.Join(dir, name)
			}
		}
		data, err := os.ReadFile(full)
		if err != nil {
			return nil, err
		}
		stage := filepath.Base(filepath.Dir(filepath.Dir(full)))
		items = append(items, Item{Path: stage + "/" + filepath.Base(full), Stage: stage, Data: data})
	}
	if len(config.OverrideStatics.Content) > 0 {
		data, err := yaml.Marshal(map[string]any{"name": "overrides", "filter": "1==1", "statics": &config.OverrideStatics})
		if err != nil {
			return nil, err
		}
		items = append(items, Item{Path: "s00-raw/00_overrides.yaml", Stage: "s00-raw", Data: data})
	}
	return items, nil
}
