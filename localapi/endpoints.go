package localapi

import "slices"

// endpointRoutes are those of decisions, alerts and allowlists.
func endpointRoutes() []route {
	return slices.Concat(decisionRoutes(), streamRoutes(), alertRoutes(), allowlistRoutes())
}
