package localapi

// endpointRoutes are those of decisions, alerts and allowlists.
func endpointRoutes() []route { return nil }
