package lint

// scenario is one document of a file of scenarios.
type scenario struct {
	Name   text `yaml:"name"`
	Filter text `yaml:"filter"`
}
